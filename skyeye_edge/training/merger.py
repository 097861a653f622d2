"""A run's adapters merged into a plain checkpoint, matrix by matrix, each proved on inputs."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.training.model.adapters import (
    Adapter,
    merge_error,
    merged,
    take_adapters,
    take_experts,
)
from skyeye_edge.training.model.alignment import JOINED, AlignerConfig
from skyeye_edge.training.model.checkpoint import (
    CheckpointContents,
    CheckpointInfo,
    Written,
    new_folder,
    now,
    read_contents,
    write_checkpoint,
)
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.tensors import LazyTensor, Tensors, open_weights
from skyeye_edge.training.recipe import Recipe
from skyeye_edge.training.run_folder import TRAINED, RunFolder, read_log

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of products in float32, relative to the largest
_LANGUAGE, _ADAPTED = "language_model.", "language_model.base_model.model."  # peft adds two words


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What merging changed."""

    target: Path
    matrices: int  # that an adapter was merged into
    difference: float  # of their products with random inputs, relative; at most TOLERANCE


def merge(
    run: str | Path, target: str | Path, tell: Written = lambda done, total: None
) -> MergeReport:
    """Write the checkpoint of a run; of an unfinished one, its newest checkpoint (with a warning).

    One tensor is in memory at a time. Changed tensors are written in float32, all others as they
    are in the base.

    Args:
        run: folder of `train`.
        target: folder to be written; must not exist.
        tell: hears how many bytes are written, and of how many.

    Raises:
        InputError: `run` is no run, has no checkpoint yet, or `target` exists.
        CheckpointError: the run does not fit its base, or a merged matrix differs from the adapted.
        SkyEyeError: the disk is full.
    """
    folder, target = RunFolder(Path(run)), Path(target)
    recipe = folder.recipe()
    trained, stages = _newest(folder, recipe)
    base = read_contents(recipe.base)
    changes, contents = _merged(base, trained, recipe)
    patches = base.spec.vision.tokens * int(base.aligner_config.get("joined", JOINED))
    spec = recipe.adapt(base.spec, math.isqrt(patches))
    contents = replace(contents, info=_describe(recipe, base.info, stages), spec=spec)
    with new_folder(target, "merge again") as draft:
        write_checkpoint(draft, contents, tell)
        terms = recipe.base / "LICENSE"
        if terms.exists():  # they pass on to whatever grows from the base
            shutil.copyfile(terms, draft / terms.name)
        difference = _proof(base, read_contents(draft), changes)
    return MergeReport(target, len(changes), difference)


def _merged(
    base: CheckpointContents, trained: Path, recipe: Recipe
) -> tuple[dict[str, Adapter], CheckpointContents]:
    """The adapters of a run, and the base with them and all else that was trained."""
    ledger = Ledger(trained, open_weights(trained).tensors)
    alpha = recipe.lora.alpha
    experts = take_experts(ledger, base.language, _LANGUAGE, alpha)
    if experts:
        log.warning(
            "%s: each expert is merged at the mean share that its router gave it; the checkpoint "
            "answers nearly, not exactly, as the run",
            recipe.run,
        )
    language = experts | take_adapters(ledger, base.language, _ADAPTED, alpha)
    aligner = take_adapters(ledger, base.aligner, "", alpha)
    contents = replace(
        base,
        vision=_changed(ledger, base.vision, {}, ""),
        aligner={} if recipe.aligner else _changed(ledger, base.aligner, aligner, ""),
        language=_changed(ledger, base.language, language, _LANGUAGE),
    )
    if recipe.aligner:
        contents = _renewed(contents, ledger, recipe.aligner)
    ledger.close("The recipe's base is not the one that was trained")
    return language | aligner, contents


def _renewed(
    contents: CheckpointContents, ledger: Ledger, config: AlignerConfig
) -> CheckpointContents:
    """With the aligner that the run made, which may have other tensors than the base's."""
    names = [name for name in ledger.names if name.startswith("aligner.")]
    return replace(
        contents,
        aligner={name: ledger.take(name, ledger.shape(name)) for name in names},
        architecture={**contents.architecture, "aligner": config.kind},
        aligner_config={"joined": config.joined, "layers": config.layers},
    )


def _changed(
    ledger: Ledger, tensors: Tensors, adapters: Mapping[str, Adapter], prefix: str
) -> dict[str, LazyTensor]:
    """Tensors with their adapters, or in the ledger whole, or as they were."""
    found = dict(tensors)
    for name, tensor in tensors.items():
        if name in adapters:
            found[name] = merged(tensor, adapters[name])
        elif prefix + name in ledger.names:
            found[name] = ledger.take(prefix + name, tensor.shape)
    return found


def _proof(
    base: CheckpointContents, written: CheckpointContents, adapters: Mapping[str, Adapter]
) -> float:
    """The largest difference of a merged matrix from the adapted one, as products show it."""
    before = {**base.aligner, **base.language}
    after = {**written.aligner, **written.language}
    largest = 0.0
    for name, adapter in adapters.items():
        error = merge_error(after[name], before[name], adapter)
        if not error <= TOLERANCE:
            raise CheckpointError(
                f"{name}: its products differ by {error:.1e} after merging (at most {TOLERANCE}); "
                "nothing was written"
            )
        largest = max(largest, error)
    return largest


def _newest(run: RunFolder, recipe: Recipe) -> tuple[Path, list[dict[str, Any]]]:
    """The newest adapters, and what each stage did for them."""
    stages: list[dict[str, Any]] = []
    newest: Path | None = None
    finished = True
    for stage in recipe.stages:
        file = run.stage(stage.name) / TRAINED
        done = stage.steps or _steps_of(run, stage.name)
        finished = file.exists()
        if not finished:
            checkpoint = run.last_checkpoint(stage.name)
            if checkpoint is None:
                break
            file, done = checkpoint / TRAINED, int(checkpoint.name.rpartition("-")[2])
        newest = file
        stages.append({"name": stage.name, "steps": done, "batch": stage.batch * stage.accumulate})
        if not finished:
            break
    if newest is None:
        raise InputError(f"{run.path}: nothing is saved there yet; go on with --resume")
    if not finished:
        log.warning("%s: the run is not finished; merging what it reached", run.path)
    return newest, stages


def _steps_of(run: RunFolder, stage: str) -> int:
    """Steps that a stage has, as its log says: where the recipe counts epochs."""
    return max((line["steps"] for line in read_log(run) if line["stage"] == stage), default=0)


def _describe(recipe: Recipe, base: CheckpointInfo, stages: list[dict[str, Any]]) -> CheckpointInfo:
    licences = [*base.licences, *(source.licence for source in recipe.data if source.licence)]
    data = [
        {"name": each.name, "format": each.format, "split": each.split, "licence": each.licence}
        for each in recipe.data
    ]
    tools = {name: version(name) for name in ("torch", "transformers", "peft")}
    provenance = {
        "base": {"name": base.name, "version": base.version, **base.provenance},
        "stages": stages,
        "lora": asdict(recipe.lora),
        "seed": recipe.seed,
        "data": data,
        "tools": tools,
    }
    return replace(
        base,
        name=recipe.name,
        version=recipe.version,
        created=now(),
        commercial_use=base.commercial_use and recipe.commercial_use,
        licences=tuple(dict.fromkeys(licences)),
        provenance=provenance,
    )
