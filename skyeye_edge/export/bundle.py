"""Write a bundle: the exported files, what they are made of, and how well they agree."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skyeye_edge.core.errors import needs
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.manifest import MANIFEST_NAME, Manifest, write_manifest
from skyeye_edge.core.memory import free_memory
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.evaluation import CalibrationReport, GroundItem
from skyeye_edge.export.calibration import calibrate
from skyeye_edge.export.description import describe
from skyeye_edge.export.language import (
    check_language_variants,
    export_language,
    list_types,
    tensor_types,
)
from skyeye_edge.export.parity import ParityRow, measure_parity, parity_tasks, read_demo_frames
from skyeye_edge.export.staging import staged
from skyeye_edge.export.vision import check_vision_variants, export_vision

if TYPE_CHECKING:
    from skyeye_edge.training.model.checkpoint import CheckpointContents

Parity = Literal["auto", "always", "never"]
log = logging.getLogger(__name__)

LIBRARIES = 2**29  # bytes of PyTorch and the ONNX exporter; docs/full_size.md
PARITY_NAME = "parity.json"
COPIED = ("MODEL_CARD.md", "LICENSE")


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of a bundle, as the report lists it."""

    name: str
    size_bytes: int
    content: str  # of a GGUF: how many matrices have which type, read back


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export made."""

    bundle: Path
    files: tuple[ExportedFile, ...]
    parity: tuple[ParityRow, ...]
    warnings: tuple[str, ...]
    calibration: CalibrationReport | None = None  # where scores were fitted


def export_bundle(
    checkpoint: str | Path,
    target: str | Path,
    *,
    vision: Sequence[str] = ("int8",),
    language: Sequence[str] = ("Q8_0",),
    replace: bool = False,
    parity: Parity = "auto",
    frames: Sequence[Frame] | None = None,
    labelled: Sequence[GroundItem] | None = None,
    tell: Callable[[str], None] = log.info,
) -> ExportReport:
    """Export a merged checkpoint into a bundle, and measure how well the two agree.

    The bundle appears whole or not at all. Two exports of one checkpoint with the same versions are
    equal byte by byte.

    Args:
        checkpoint: folder with `skyeye.json`.
        target: folder to make.
        vision: variants, of fp32, fp16 and int8.
        language: GGUF types by libllama's names, such as Q8_0, F16, Q4_K_M or F32.
        replace: exchange a bundle that stands at `target`.
        parity: measure agreement, which needs the whole checkpoint in float32: `always`, `never`,
            or `auto`, where that fits into the memory that is free.
        frames: what parity is measured on; without them, 16 of the packaged demo clip.
        labelled: images with boxes, not trained on, to fit the scores of boxes and the operating
            point on; without them, the bundle says about scores what the checkpoint says.
        tell: hears what is being done.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or of another architecture.
        InputError: the target exists or cannot be written, a variant is not known, or `labelled`
            is too little to calibrate with.
        BundleError: writing failed, for example because the disk is full.
        BackendError: libllama or ONNX Runtime cannot do what was asked.
    """
    checkpoint, target = Path(checkpoint), Path(target)
    visions, types = check_vision_variants(vision), check_language_variants(language)
    with needs("export"):
        from skyeye_edge.training.model.checkpoint import read_contents
    with staged(target, replace=replace) as folder:
        tell(f"reading {checkpoint}")
        contents = read_contents(checkpoint)
        tell(f"memory: about {export_need(contents) / 2**30:.1f} GiB at most, without parity")
        warnings = _write_weights(contents, checkpoint, folder, visions, types, tell)
        for name in COPIED:
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, folder / name)
        manifest = partial(_manifest, checkpoint, folder, visions, types)
        calibration = None
        if labelled is not None:
            scores, calibration = calibrate(folder, manifest(contents), labelled, tell)
            contents = _with_scores(contents, scores, calibration)
        write_manifest(manifest(contents), folder / MANIFEST_NAME)  # for the runtime to open
        rows: tuple[ParityRow, ...] = ()
        if is_measured(parity, contents, tell):
            frames = read_demo_frames() if frames is None else frames
            rows = _measure(checkpoint, contents.spec, folder, frames, visions, types, tell)
            write_manifest(manifest(contents), folder / MANIFEST_NAME)  # with what was measured
        files = tuple(_listed(path) for path in sorted(folder.iterdir()))
    tell(f"written: {target}")
    return ExportReport(target, files, rows, (*warnings, *_disagreements(rows)), calibration)


def _manifest(
    checkpoint: Path,
    folder: Path,
    visions: Sequence[str],
    types: Sequence[str],
    contents: CheckpointContents,
) -> Manifest:
    return describe(contents.info, contents.spec, checkpoint, folder, visions, types)


def _with_scores(
    contents: CheckpointContents, scores: ScoreSpec, report: CalibrationReport
) -> CheckpointContents:
    """So that parity compares what is shipped."""
    info = contents.info
    info = replace(info, provenance={**info.provenance, "calibration": report.to_json()})
    return replace(contents, info=info, spec=replace(contents.spec, scores=scores))


def is_measured(parity: Parity, contents: CheckpointContents, tell: Callable[[str], None]) -> bool:
    """Whether agreement with the checkpoint is measured; where it is not, says why and how to."""
    if parity != "auto":
        return parity == "always"
    needed = parity_need(contents)
    free = free_memory()
    if needed <= free:
        return True
    tell(
        f"parity is not measured: the checkpoint in float32 needs {needed / 2**30:.1f} GiB, "
        f"{free / 2**30:.1f} are free; on a larger machine --parity always measures it"
    )
    return False


def export_need(contents: CheckpointContents) -> int:
    """Bytes that writing a bundle takes: the libraries, and the largest matrix in float32."""
    parts = (contents.vision, contents.aligner, contents.language)
    largest = max(math.prod(each.shape) for part in parts for each in part.values())
    return LIBRARIES + 4 * largest


def parity_need(contents: CheckpointContents) -> int:
    """Bytes of a checkpoint in float32, and as much again for the bundle beside it."""
    parts = (contents.vision, contents.aligner, contents.language)
    numbers = sum(math.prod(each.shape) for part in parts for each in part.values())
    return 2 * 4 * numbers


def _write_weights(
    contents: CheckpointContents,
    checkpoint: Path,
    folder: Path,
    visions: Sequence[str],
    types: Sequence[str],
    tell: Callable[[str], None],
) -> tuple[str, ...]:
    scratch = folder / "scratch"
    scratch.mkdir()
    # The language side first: it is quick, and refuses what cannot be exported at all.
    tell(f"language model: {', '.join(types)}")
    warnings = export_language(checkpoint / "llm", types, folder, scratch, contents.info.name)
    shutil.rmtree(scratch)
    tell(f"vision: {', '.join(visions)}")
    export_vision(contents, check_vision_variants(visions), folder)
    return warnings


def _measure(
    checkpoint: Path,
    spec: ModelSpec,
    folder: Path,
    frames: Sequence[Frame],
    visions: Sequence[str],
    types: Sequence[str],
    tell: Callable[[str], None],
) -> tuple[ParityRow, ...]:
    """Parity of every pair, also written as `parity.json`: no times and no host in it."""
    with needs("export"):
        from skyeye_edge.training.predictor import CheckpointPredictor
    pairs = [(vision, language) for vision in visions for language in types]
    predictor = CheckpointPredictor(checkpoint)
    predictor.spec = predictor.model.spec = spec
    rows = measure_parity(predictor, folder, frames, pairs, tell=tell)
    values = {
        "schema": 1,
        "images": len(frames),
        "tasks": [repr(task) for task in parity_tasks((1, 1))],
        "rows": [row.to_json() for row in rows],
    }
    (folder / PARITY_NAME).write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    return tuple(rows)


def _disagreements(rows: Sequence[ParityRow]) -> tuple[str, ...]:
    return tuple(
        f"{row.vision} with {row.language}: {row.different} of {row.answers} answers differ from "
        "the checkpoint's, where every token should be equal; do not ship this bundle"
        for row in rows
        if row.strict and row.different
    )


def _listed(path: Path) -> ExportedFile:
    types = list_types(tensor_types(path)) if path.suffix == ".gguf" else ""
    return ExportedFile(path.name, path.stat().st_size, types)
