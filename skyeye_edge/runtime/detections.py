"""Boxes for the tools of the library supervision: its annotators, trackers, zones and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skyeye_edge.core.errors import needs
from skyeye_edge.core.results import Result, as_results

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(results: Result | Sequence[Result]) -> Detections:
    """The boxes of one image as supervision's `Detections`.

    Args:
        results: one, or those of one image, such as `Model.run` or an event gives.

    Returns:
        `xyxy` (N, 4) float32 in pixels, `confidence` (N,), `class_id` (N,), and the names in
        `data["class_name"]`; where a box is turned, the corners of all in `data["xyxyxyxy"]`
        (N, 4, 2), as supervision's oriented annotators want them, and upright ones around them in
        `xyxy`. A name's class is its place among the names that were asked for, found
        or not: with the same tasks it is the same in every image.

    Raises:
        InputError: it is something else.
        MissingExtraError: supervision is not installed.
    """
    given = as_results(results)
    with needs("supervision"):
        from supervision import Detections
    named = [entry for result in given for entry in result.named_boxes()]
    classes = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in named))}
    boxes = [box for _, boxes in named for box in boxes]
    data: dict[str, Any] = {"class_name": np.array([box.label for box in boxes], str)}
    if any(box.angle for box in boxes):
        data["xyxyxyxy"] = np.array([box.corners for box in boxes], np.float32)
    return Detections(
        xyxy=np.array([box.hull for box in boxes], np.float32).reshape(-1, 4),
        confidence=np.array([box.score for box in boxes], np.float32),
        class_id=np.array([classes[box.label] for box in boxes], int),
        data=data,
    )
