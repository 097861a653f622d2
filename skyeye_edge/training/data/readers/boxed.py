"""The boxes of an image while they are read, and the annotation that they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.readers.entries import Entry, shown
from skyeye_edge.training.data.readers.image_files import image_size


class Boxed:
    """Collects the objects of one image; its size is asked of the file once."""

    def __init__(self, image: Path) -> None:
        self._image, self._size = image, image_size(image)
        self._objects: list[Object] = []
        self._unsure: set[str] = set()

    def add(self, entry: Entry, edges: Sequence[float], label: str) -> None:
        """An object with left, top, right, bottom in pixels.

        Raises:
            DataError: the corners are swapped, or nothing of it lies in the image.
        """
        said = f"the box {shown(list(edges))} of {label!r}"
        box = entry.inside(entry.checked(edges, said), self._size, said)
        self._objects.append((box, label))

    def scaled(self, shares: Sequence[float]) -> list[float]:
        """Shares of width and height, alternately, as pixels."""
        width, height = self._size
        return [share * (height if place % 2 else width) for place, share in enumerate(shares)]

    @property
    def readable(self) -> bool:
        """Whether the size is known, which shares need."""
        return min(self._size) > 0

    def unsure(self, *labels: str) -> None:
        """Some objects of these labels are there without a box that one could learn."""
        self._unsure.update(labels)

    def annotation(self) -> Annotation:
        """What was collected."""
        return Annotation((self._image,), objects=tuple(self._objects), cut=frozenset(self._unsure))


def hull(corners: Sequence[float]) -> XYXY:
    """The upright box around x1, y1, x2, y2, ... of a polygon."""
    across, down = corners[0::2], corners[1::2]
    return min(across), min(down), max(across), max(down)


def rotated_hull(x: float, y: float, width: float, height: float, radians: float) -> XYXY:
    """The upright box around one that is turned about its middle (x, y)."""
    cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
    across, down = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    return x - across, y - down, x + across, y + down


def numbers(entry: Entry, words: Iterable[str], said: str) -> list[float]:
    """Words of a line as numbers.

    Raises:
        DataError: one is none.
    """
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            entry.fail(f"{word!r} is no number; {said}")
    return found
