"""Boxes: what is asked about them, how they overlap, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.core.tasks import Ground
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.asking import Sample
from skyeye_edge.evaluation.predictor import Picture

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


def ground_samples(items: Iterable[GroundItem]) -> list[Sample]:
    """The phrases of images as questions; images are named by their numbers."""
    samples = []
    for number, item in enumerate(items):
        for place, (words, box) in enumerate(item.present):
            known = Answered(
                f"{number}#ground:{place}",
                str(number),
                "ground",
                words,
                truth=(box,),
                size=item.size,
            )
            samples.append(Sample((item.image,), Ground(words), known))
        for place, words in enumerate(item.absent):
            known = Answered(
                f"{number}#absent:{place}", str(number), "absent", words, size=item.size
            )
            samples.append(Sample((item.image,), Ground(words), known))
    return samples


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
