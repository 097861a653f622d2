"""Objects: what is in a box, and where all of a name are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.core.results import DetectResult, TextResult
from skyeye_edge.core.tasks import Detect, Identify
from skyeye_edge.evaluation.grounding import ENOUGH, SIZES, overlap, size_name
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.shares import Share, share


@dataclass(frozen=True, slots=True, eq=False)
class ObjectItem:
    """An image with all objects of some labels."""

    image: Picture
    size: Size  # (width, height) in pixels
    objects: tuple[tuple[XYXY, str], ...]


@dataclass(frozen=True, slots=True)
class IdentifyReport:
    """How many boxes got their own label, letter by letter."""

    all_sizes: Share
    by_size: dict[str, Share]  # "small" < 1/16 <= "medium" < 1/8 <= "large"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        sizes = {name: found.to_json() for name, found in self.by_size.items()}
        return {"all_sizes": self.all_sizes.to_json(), **sizes}


@dataclass(frozen=True, slots=True)
class DetectReport:
    """Detection of labels that are in the image; a box counts from half overlap on."""

    precision: Share  # of the boxes given
    recall: Share  # of the objects

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"precision": self.precision.to_json(), "recall": self.recall.to_json()}


def evaluate_identify(predictor: Predictor, items: Iterable[ObjectItem]) -> IdentifyReport:
    """Ask what is in every box."""
    seen: list[tuple[str, bool]] = []
    for item in items:
        results = predictor.run(item.image, [Identify(box) for box, _ in item.objects])
        for (box, label), result in zip(item.objects, results, strict=True):
            said = result.text if isinstance(result, TextResult) else ""
            seen.append((size_name(box, item.size), said.lower() == label.lower()))
    by_size = {name: share(right for size, right in seen if size == name) for name in SIZES}
    return IdentifyReport(share(right for _, right in seen), by_size)


def evaluate_detect(predictor: Predictor, items: Iterable[ObjectItem]) -> DetectReport:
    """Ask for all objects of every label that an image has."""
    hits = given = wanted = 0
    for item in items:
        labels = sorted({label for _, label in item.objects})
        results = predictor.run(item.image, [Detect(label) for label in labels])
        for label, result in zip(labels, results, strict=True):
            boxes = [box.xyxy for box in result.boxes] if isinstance(result, DetectResult) else []
            truth = [box for box, name in item.objects if name == label]
            hits += count_hits(boxes, truth)
            given += len(boxes)
            wanted += len(truth)
    return DetectReport(Share(hits, given), Share(hits, wanted))


def count_hits(boxes: Sequence[XYXY], truth: Sequence[XYXY]) -> int:
    """How many boxes sit on an object of their own; the best pairs are joined first."""
    pairs = sorted(
        ((overlap(a, b), i, j) for i, a in enumerate(boxes) for j, b in enumerate(truth)),
        reverse=True,
    )
    used: set[int] = set()
    found: set[int] = set()
    for value, i, j in pairs:
        if value >= ENOUGH and i not in used and j not in found:
            used.add(i)
            found.add(j)
    return len(found)
