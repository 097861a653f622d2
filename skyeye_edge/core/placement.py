"""Where labels stand, so that none hides another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from skyeye_edge.core.boxes import Size

CLOSE = 12  # places that are tried for one that hides no box either, before one that does is taken


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Whole pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.bottom - self.top

    def overlaps(self, other: Rectangle) -> bool:
        """Whether the two share a pixel."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Rectangle) -> bool:
        """Whether all of `other` is in it."""
        return other == other.cut_to(self)

    def cut_to(self, room: Rectangle) -> Rectangle:
        """What of it lies in `room`; without a pixel if nothing does."""
        left, top = max(self.left, room.left), max(self.top, room.top)
        return Rectangle(
            left,
            top,
            max(left, min(self.right, room.right)),
            max(top, min(self.bottom, room.bottom)),
        )


def place_labels(
    boxes: Sequence[Rectangle], sizes: Sequence[Size], room: Size
) -> list[Rectangle | None]:
    """A place for each label, in order: near its box, in the picture, on no other label.

    Args:
        boxes: what the labels belong to.
        sizes: (width, height) of each label.
        room: (width, height) in which labels may stand.

    Returns:
        One place per label; None where there is none left.
    """
    found: list[Rectangle | None] = []
    for box, size in zip(boxes, sizes, strict=True):
        taken = [place for place in found if place is not None]
        others = [other for other in boxes if other != box]
        wished = chain(_near(box, size, room), _far(box, size, room))
        free = list(islice((place for place in wished if _is_free(place, taken)), CLOSE))
        clear = (place for place in free if not _hides(place, others))
        found.append(next(clear, free[0] if free else None))
    return found


def _is_free(place: Rectangle, taken: Sequence[Rectangle]) -> bool:
    return not any(place.overlaps(other) for other in taken)


def _hides(place: Rectangle, boxes: Sequence[Rectangle]) -> bool:
    """Whether a label would lie on the lines of a box; one within a large box does not."""
    return any(place.overlaps(box) and not box.holds(place) for box in boxes)


def _near(box: Rectangle, size: Size, room: Size) -> Iterator[Rectangle]:
    """Places that touch the box, the best first: above, below, inside, beside."""
    width, height = size
    aligned = (box.left, box.right - width)
    places = [(x, y) for y in (box.top - height, box.bottom) for x in aligned]
    places += [(x, y) for y in (box.top, box.bottom - height) for x in aligned]
    places += [(x, box.top) for x in (box.right, box.left - width)]
    return _in_room(places, size, room)


def _far(box: Rectangle, size: Size, room: Size) -> Iterator[Rectangle]:
    """Places above and below the box, ever farther away; then any row of the picture."""
    height = size[1]
    rows = range(room[1] // height + 1)
    tops = [y for n in rows for y in (box.top - n * height, box.bottom + n * height)]
    tops += [n * height for n in rows]
    return _in_room([(x, y) for y in tops for x in (box.left, box.right - size[0])], size, room)


def _in_room(places: Sequence[tuple[int, int]], size: Size, room: Size) -> Iterator[Rectangle]:
    """Those that fit; at the picture's left and right edge they are moved inwards."""
    width, height = size
    if width > room[0]:
        return
    for x, y in places:
        if 0 <= y <= room[1] - height:
            left = min(room[0] - width, max(0, x))
            yield Rectangle(left, y, left + width, y + height)
