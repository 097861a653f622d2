"""Boxes: how many sit where they should, by size, and how often something is called absent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.core.results import GroundResult
from skyeye_edge.core.tasks import Ground
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.reliability import Scored, expected_calibration_error
from skyeye_edge.evaluation.shares import Share, share

ENOUGH = 0.5  # intersection over union of a box that counts as right
# Square root of the box's area, as a share of the image's longer side.
SIZES = {"small": (0.0, 1 / 16), "medium": (1 / 16, 1 / 8), "large": (1 / 8, math.inf)}


@dataclass(frozen=True, slots=True, eq=False)
class GroundItem:
    """An image with phrases that mean one region each, and phrases that mean none."""

    image: Picture
    size: Size  # (width, height) in pixels
    present: tuple[tuple[str, XYXY], ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundReport:
    """Acc@0.5 of the present phrases, and who was called absent."""

    all_sizes: Share
    by_size: dict[str, Share]  # "small" < 1/16 <= "medium" < 1/8 <= "large"
    mean_overlap: float  # of the present phrases; what was not found counts as 0
    present_called_absent: Share
    absent_called_absent: Share
    unreadable: int  # answers without a box that do not say "absent" either
    scored: tuple[Scored, ...] = ()  # of every box that was given: its score, and if it is right

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the scores of all boxes, absent phrases' included."""
        return expected_calibration_error(self.scored)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "all_sizes": self.all_sizes.to_json(),
            **{name: found.to_json() for name, found in self.by_size.items()},
            "mean_overlap": round(self.mean_overlap, 4),
            "present_called_absent": self.present_called_absent.to_json(),
            "absent_called_absent": self.absent_called_absent.to_json(),
            "unreadable": self.unreadable,
            "boxes": len(self.scored),
            "calibration_error": round(self.calibration_error, 4) if self.scored else None,
        }


def evaluate_ground(predictor: Predictor, items: Iterable[GroundItem]) -> GroundReport:
    """Ask for every phrase of every image."""
    present: list[tuple[float, str, GroundResult]] = []  # overlap, size, result
    absent: list[GroundResult] = []
    for item in items:
        phrases = [words for words, _ in item.present] + list(item.absent)
        results = predictor.run(item.image, [Ground(words) for words in phrases])
        found = [result for result in results if isinstance(result, GroundResult)]
        for (_, box), result in zip(item.present, found, strict=False):
            value = overlap(result.boxes[0].xyxy, box) if result.boxes else 0.0
            present.append((value, size_name(box, item.size), result))
        absent += found[len(item.present) :]
    overlaps = [value for value, _, _ in present]
    return GroundReport(
        all_sizes=share(value >= ENOUGH for value in overlaps),
        by_size={
            name: share(value >= ENOUGH for value, size, _ in present if size == name)
            for name in SIZES
        },
        mean_overlap=sum(overlaps) / len(overlaps) if overlaps else math.nan,
        present_called_absent=share(result.outcome == "absent" for _, _, result in present),
        absent_called_absent=share(result.outcome == "absent" for result in absent),
        unreadable=sum(
            result.outcome in ("cut", "unreadable")
            for result in (*absent, *(result for _, _, result in present))
        ),
        scored=(
            *(
                (found.boxes[0].score, value >= ENOUGH)
                for value, _, found in present
                if found.boxes
            ),
            *((found.boxes[0].score, False) for found in absent if found.boxes),
        ),
    )


def size_name(box: XYXY, size: Size) -> str:
    """The name in SIZES of a box in an image of (width, height) pixels."""
    x1, y1, x2, y2 = box
    edge = math.sqrt((x2 - x1) * (y2 - y1)) / max(size)
    return next(name for name, (low, high) in SIZES.items() if low <= edge < high)


def overlap(ours: XYXY, theirs: XYXY) -> float:
    """Intersection over union of two boxes, edges as real numbers (no pixel is added)."""
    width = min(ours[2], theirs[2]) - max(ours[0], theirs[0])
    height = min(ours[3], theirs[3]) - max(ours[1], theirs[1])
    both = max(0.0, width) * max(0.0, height)
    union = _area(ours) + _area(theirs) - both
    return both / union if union > 0 else 0.0


def _area(box: XYXY) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
