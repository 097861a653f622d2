"""What an annotation surely says about an image: nothing else is asked, counted or denied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.labels import alike, is_unsure


@dataclass(frozen=True, slots=True)
class Known:
    """Objects of which every one of its label has a box, and labels that are surely absent."""

    objects: tuple[Object, ...]
    missing: tuple[str, ...]  # labels of the set of which there is none, sorted
    size: Size  # (width, height) of the image

    @property
    def counts(self) -> Counter[str]:
        """How many there are of each label."""
        return Counter(label for _, label in self.objects)

    def boxes(self, label: str) -> list[XYXY]:
        """Of all objects of a label, from left to right."""
        return sorted(box for box, name in self.objects if name == label)


def known(item: Annotation, labels: Sequence[str], size: Size) -> Known:
    """What is sure about an image.

    Args:
        item: objects whose label is in its `cut` are not all there; `*` in it stands for any.
        labels: of the set. An image without any box was perhaps not annotated, so none is missing.
        size: (width, height) of the image.
    """
    return Known(sure_objects(item), missing_labels(item, labels), size)


def sure_objects(item: Annotation) -> tuple[Object, ...]:
    """Objects of labels of which every object has a box."""
    return tuple(each for each in item.objects if not is_unsure(each[1], item.cut))


def missing_labels(item: Annotation, labels: Sequence[str]) -> tuple[str, ...]:
    """Labels of the set that the image surely has no object of, nor of one that is much alike."""
    if not item.objects:
        return ()
    there = alike({label for _, label in item.objects} | item.cut)
    return tuple(label for label in sorted(labels) if not is_unsure(label, there))
