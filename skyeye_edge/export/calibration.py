"""Scores that can be believed: the finished bundle answers about labelled images, and is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.manifest import MANIFEST_NAME, Manifest, write_manifest
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.evaluation import (
    CalibrationReport,
    GroundItem,
    fit_scores,
    judge_boxes,
    measure_calibration,
)
from skyeye_edge.runtime import load


def calibrate(
    folder: Path, manifest: Manifest, items: Sequence[GroundItem], tell: Callable[[str], None]
) -> tuple[ScoreSpec, CalibrationReport]:
    """Fit table and operating point on what a bundle answers, in the variants a CPU runs.

    Args:
        folder: the bundle, all but its manifest, which is written anew.
        manifest: of it; a `min_score` that it states is kept.
        items: labelled images that the model was not trained on.
        tell: hears what is being done.

    Raises:
        InputError: there are too few boxes, or the model cannot ground.
    """
    if manifest.tasks and "ground" not in manifest.tasks:
        raise InputError(
            "calibration: the checkpoint does not list the task 'ground'; leave it out"
        )
    tell(f"calibration: the bundle answers about {len(items)} labelled images")
    # An operating point of 0 makes it give a box for every phrase, with the presence beside it.
    asking = replace(manifest.spec, scores=ScoreSpec(found_from=0.0))
    write_manifest(replace(manifest, spec=asking), folder / MANIFEST_NAME)
    with load(folder, device="cpu") as model:
        judged = judge_boxes(model, items, asking.boxes)
    report = measure_calibration(judged)
    fitted = replace(fit_scores(judged), min_score=manifest.spec.scores.min_score)
    tell(
        f"calibration: {report.boxes} boxes, {report.right} right; expected calibration error "
        f"{report.ece_before:.3f} before, {report.ece:.3f} after (on images left out of the fit)"
    )
    return fitted, report
