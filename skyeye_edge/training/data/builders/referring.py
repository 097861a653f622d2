"""Words that mean exactly one object, or exactly some: referring expressions and phrases.

An object is told from the others by its label, its place, its order, its size or what it is nearest
to. Words are used only where they stand clear of being wrong, so that two people would agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.builders.boxes import CLEAR_POSITION, CLEAR_SIZE, phrases
from skyeye_edge.training.data.builders.known import Known
from skyeye_edge.training.data.builders.words import SIDE, middle, plural, side

_ACROSS = ("left", "right")
ORDINALS = ("second", "third", "fourth", "fifth")
MOST_ORDERED = 5  # objects of a label that are counted from one side
SIDES = ("on the left", "on the right", "at the top", "at the bottom")
CORNERS = tuple(f"at the {down} {across}" for down in ("top", "bottom") for across in _ACROSS)
PLACES = (*CORNERS, *SIDES, "in the middle")
NEAREST = 0.7  # the next one is further by this factor
MOST_IN_PHRASE = 12  # boxes of one phrase
Group = tuple[str, tuple[XYXY, ...]]


def expressions(known: Known) -> list[tuple[str, XYXY]]:
    """Every expression that means exactly one of the objects, with its box."""
    found = phrases(known.objects, known.size)
    for label, count in sorted(known.counts.items()):
        boxes = known.boxes(label)
        if count > 1:
            found += _placed(label, boxes, known)
            found += _ordered(label, boxes, known)
            found += _smallest(label, boxes)
            found += _nearest(label, boxes, known)
    return found


def groups(known: Known) -> list[Group]:
    """Every phrase that means some of the objects of a label, with all boxes that it means."""
    found: list[Group] = []
    for label in sorted(known.counts):
        boxes = known.boxes(label)
        if len(boxes) <= MOST_IN_PHRASE:
            found.append((label if len(boxes) == 1 else plural(label), tuple(boxes)))
        for place in SIDES:
            there = _all_in(place, boxes, known)
            if there and len(there) < len(boxes) and len(there) <= MOST_IN_PHRASE:
                words = label if len(there) == 1 else plural(label)
                found.append((f"{words} {place}", tuple(there)))
    return found


def _placed(label: str, boxes: Sequence[XYXY], known: Known) -> list[tuple[str, XYXY]]:
    """`the ship at the top left`, where no other could be meant."""
    found = []
    for place in PLACES:
        meant = [box for box in boxes if _could_be(place, box, known)]
        if len(meant) == 1 and side(meant, known.size) == place:
            found.append((f"the {label} {place}", meant[0]))
    return found


def _all_in(place: str, boxes: Sequence[XYXY], known: Known) -> list[XYXY]:
    """All boxes on a side; none if one of them is neither here nor there."""
    there = [box for box in boxes if _could_be(place, box, known)]
    return there if all(_is(place, box, known) for box in there) else []


def _is(place: str, box: XYXY, known: Known) -> bool:
    """Whether everybody would say that a box is there."""
    return all(share < SIDE for share in _distances(place, box, known))


def _could_be(place: str, box: XYXY, known: Known) -> bool:
    """Whether somebody could say it."""
    return all(share < 0.5 + CLEAR_POSITION for share in _distances(place, box, known))


def _distances(place: str, box: XYXY, known: Known) -> list[float]:
    """How far the middle is from the sides that the words name, in shares of the image."""
    x, y = middle(box, known.size)
    from_side = {"left": x, "right": 1 - x, "top": y, "bottom": 1 - y}
    if place == "in the middle":  # further than the words need, so that none else could be meant
        return [abs(x - 0.5) * 2, abs(y - 0.5) * 2]
    return [from_side[word] for word in place.split() if word in from_side]


def _ordered(label: str, boxes: Sequence[XYXY], known: Known) -> list[tuple[str, XYXY]]:
    """`the second ship from the left`, where all stand clear of each other."""
    found: list[tuple[str, XYXY]] = []
    if not 3 <= len(boxes) <= MOST_ORDERED:
        return found
    for axis, low, high in ((0, "left", "right"), (1, "top", "bottom")):
        ranked = sorted((middle(box, known.size)[axis], box) for box in boxes)
        gaps = [after[0] - before[0] for before, after in pairwise(ranked)]
        if min(gaps) >= CLEAR_POSITION:
            for place, (_, box) in enumerate(ranked[1:-1]):
                found.append((f"the {ORDINALS[place]} {label} from the {low}", box))
            for place, (_, box) in enumerate(ranked[-2:0:-1]):
                found.append((f"the {ORDINALS[place]} {label} from the {high}", box))
    return found


def _smallest(label: str, boxes: Sequence[XYXY]) -> list[tuple[str, XYXY]]:
    areas = sorted(((x2 - x1) * (y2 - y1), (x1, y1, x2, y2)) for x1, y1, x2, y2 in boxes)
    if areas[0][0] <= areas[1][0] * (1 - CLEAR_SIZE):
        return [(f"the smallest {label}", areas[0][1])]
    return []


def _nearest(label: str, boxes: Sequence[XYXY], known: Known) -> list[tuple[str, XYXY]]:
    """`the ship nearest to the bridge`, for an only bridge and a ship that is clearly nearest."""
    found = []
    for other, count in sorted(known.counts.items()):
        if count == 1 and other != label:
            anchor = known.boxes(other)[0]
            ranked = sorted((_distance(box, anchor), box) for box in boxes)
            if 0 < ranked[0][0] < ranked[1][0] * NEAREST and _distance_edges(ranked, anchor):
                found.append((f"the {label} nearest to the {other}", ranked[0][1]))
    return found


def _distance(box: XYXY, other: XYXY) -> float:
    """Between the middles, in pixels."""
    across = (box[0] + box[2] - other[0] - other[2]) / 2
    down = (box[1] + box[3] - other[1] - other[3]) / 2
    return math.hypot(across, down)


def _distance_edges(ranked: Sequence[tuple[float, XYXY]], anchor: XYXY) -> bool:
    """Whether the nearest by its middle is also nearest by its edges: large things reach far."""
    gaps = [_gap(box, anchor) for _, box in ranked]
    return gaps[0] < min(gaps[1:])


def _gap(box: XYXY, other: XYXY) -> float:
    across = max(box[0] - other[2], other[0] - box[2], 0.0)
    down = max(box[1] - other[3], other[1] - box[3], 0.0)
    return math.hypot(across, down)
