"""Write a bundle: the exported files, what they are made of, and how well they agree."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.core.errors import needs
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.manifest import MANIFEST_NAME, Manifest, write_manifest
from skyeye_edge.core.scores import ScoreSpec
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
    from skyeye_edge.training.model.skyeye import SkyEyeModel

log = logging.getLogger(__name__)

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
        from skyeye_edge.training.model.skyeye import SkyEyeModel
    with staged(target, replace=replace) as folder:
        tell(f"reading {checkpoint}")
        model = SkyEyeModel.from_checkpoint(checkpoint)
        frames = read_demo_frames() if frames is None else frames
        warnings = _write_weights(model, checkpoint, folder, visions, types, tell)
        for name in COPIED:
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, folder / name)
        manifest = partial(_manifest, model, checkpoint, folder, visions, types)
        calibration = None
        if labelled is not None:
            scores, calibration = calibrate(folder, manifest(), labelled, tell)
            _take_scores(model, scores, calibration)
        write_manifest(manifest(), folder / MANIFEST_NAME)  # a draft, for the runtime to open
        rows = _measure(model, folder, frames, visions, types, tell)
        write_manifest(manifest(), folder / MANIFEST_NAME)
        files = tuple(_listed(path) for path in sorted(folder.iterdir()))
    tell(f"written: {target}")
    return ExportReport(target, files, rows, (*warnings, *_disagreements(rows)), calibration)


def _manifest(
    model: SkyEyeModel, checkpoint: Path, folder: Path, visions: Sequence[str], types: Sequence[str]
) -> Manifest:
    return describe(model.info, model.spec, checkpoint, folder, visions, types)


def _take_scores(model: SkyEyeModel, scores: ScoreSpec, report: CalibrationReport) -> None:
    """The model in memory too, so that parity compares what is shipped."""
    provenance = {**model.info.provenance, "calibration": report.to_json()}
    model.info = replace(model.info, provenance=provenance)
    model.spec = replace(model.spec, scores=scores)


def _write_weights(
    model: SkyEyeModel,
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
    warnings = export_language(checkpoint / "llm", types, folder, scratch, model.info.name)
    tell(f"vision: {', '.join(visions)}")
    export_vision(model, check_vision_variants(visions), folder, scratch)
    shutil.rmtree(scratch)
    return warnings


def _measure(
    model: SkyEyeModel,
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
    rows = measure_parity(CheckpointPredictor(model), folder, frames, pairs, tell=tell)
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
