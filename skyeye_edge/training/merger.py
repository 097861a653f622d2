"""A run's adapters merged into a plain checkpoint, after proof that nothing changed."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.tasks import Ask, Caption, Detect, Ground, Identify, Task
from skyeye_edge.training.data.collate import Tokenizer, tokenise
from skyeye_edge.training.lora import add_adapters, merge_adapters
from skyeye_edge.training.model.checkpoint import CheckpointInfo, new_folder, now
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.quiet import quiet
from skyeye_edge.training.recipe import Recipe
from skyeye_edge.training.run_folder import TRAINED, RunFolder, load_trained

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of logits in float32, relative to the largest; sums are only ordered differently
_PROBES: tuple[Task, ...] = (
    Caption(),
    Ground("the red car"),
    Detect("boat"),
    Identify((0.1, 0.1, 0.6, 0.7)),
    Ask("how many cars are there?"),
)


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What merging changed; distances of logits, relative to the largest."""

    target: Path
    merged: float  # adapted against merged, both float32; above TOLERANCE nothing is written
    rounded: float  # merged against what is written, whose weights are float16


def merge(run: str | Path, target: str | Path) -> MergeReport:
    """Write the checkpoint of a run; of an unfinished one, its newest checkpoint (with a warning).

    Args:
        run: folder of `train`.
        target: folder to be written; must not exist.

    Raises:
        InputError: `run` is no run, has no checkpoint yet, or `target` exists.
        CheckpointError: the merged model's logits differ from the adapted one's.
        SkyEyeError: the disk is full.
    """
    folder, target = RunFolder(Path(run)), Path(target)
    if target.exists():
        raise InputError(f"{target}: exists; give another folder, or remove it")
    recipe = folder.recipe()
    trained, stages = _newest(folder, recipe)
    with quiet():
        return _merge(folder, target, recipe, trained, stages)


def _merge(
    run: RunFolder, target: Path, recipe: Recipe, trained: Path, stages: list[dict[str, Any]]
) -> MergeReport:
    model = SkyEyeModel.from_checkpoint(recipe.base)
    base = model.info
    add_adapters(model, recipe.lora, recipe.parts)
    model.eval()
    load_trained(model, recipe.parts, trained)
    adapted = probe_logits(model)
    merge_adapters(model)
    merged = probe_logits(model)
    difference = distance(adapted, merged)
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"{run.path}: logits differ by {difference:.1e} after merging (at most {TOLERANCE})"
        )
    model.info = _describe(recipe, base, stages)
    with new_folder(target, "merge again") as draft:
        model.save_checkpoint(draft, torch.float16)
        terms = recipe.base / "LICENSE"
        if terms.exists():  # they pass on to whatever grows from the base
            shutil.copyfile(terms, draft / terms.name)
        _check_plain(draft)
        rounded = distance(merged, probe_logits(SkyEyeModel.from_checkpoint(draft)))
    return MergeReport(target, difference, rounded)


@torch.inference_mode()
def probe_logits(model: SkyEyeModel) -> list[Tensor]:
    """Logits (L, V) of one prompt per kind of task, about an image of noise."""
    side = model.spec.vision.image_size
    noise = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    visual_tokens = model.encode_image(noise)
    tokenizer = Tokenizer(model.tokenizer_file)
    found = []
    for task in _PROBES:
        segments = build_prompt([(task, "a red car")], [(1, 1)], model.spec, learn=True)
        ids, _ = tokenise(segments, tokenizer, model.spec.vision.tokens)
        embedded = model.embed(torch.tensor([ids]), visual_tokens)
        found.append(model.language_model(inputs_embeds=embedded).logits[0].float())
    return found


def distance(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Largest difference, as a share of the largest value."""
    largest = max(float(logits.abs().max()) for logits in ours)
    off = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
    return off / max(largest, 1e-9)


def _newest(run: RunFolder, recipe: Recipe) -> tuple[Path, list[dict[str, Any]]]:
    """The newest adapters, and what each stage did for them."""
    stages: list[dict[str, Any]] = []
    newest: Path | None = None
    for stage in recipe.stages:
        file = run.stage(stage.name) / TRAINED
        done = stage.steps
        if not file.exists():
            checkpoint = run.last_checkpoint(stage.name)
            if checkpoint is None:
                break
            file, done = checkpoint / TRAINED, int(checkpoint.name.rpartition("-")[2])
        newest = file
        stages.append({"name": stage.name, "steps": done, "batch": stage.batch * stage.accumulate})
        if done < stage.steps:
            break
    if newest is None:
        raise InputError(f"{run.path}: nothing is saved there yet; go on with --resume")
    if len(stages) < len(recipe.stages) or stages[-1]["steps"] < recipe.stages[-1].steps:
        log.warning("%s: the run is not finished; merging what it reached", run.path)
    return newest, stages


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


def _check_plain(folder: Path) -> None:
    for file in sorted(folder.rglob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            if left := [name for name in opened.keys() if "lora" in name]:  # noqa: SIM118
                raise CheckpointError(f"{file}: adapters are left in it: {left[0]}")
