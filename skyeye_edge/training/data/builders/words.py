"""English for counts, places and lists, as questions and descriptions say them."""

from __future__ import annotations

from collections.abc import Sequence

from skyeye_edge.core.boxes import XYXY, Size

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
COUNTED = 6  # more are not asked for, and called many
PLURALS = {
    "person": "people",
    "bus": "buses",
    "minibus": "minibuses",
    "other": "other vehicles",
    "bench": "benches",
    "church": "churches",
    "beach": "beaches",
    "crossing": "crossings",
}
# A middle is called left, in the middle or right only where nobody would say otherwise.
SIDE, MIDDLE = 0.36, 0.1  # of the image's side: up to here from the edge; so far from the centre


def plural(label: str) -> str:
    """More than one of a label."""
    first, _, last = label.rpartition(" ")
    if label in PLURALS or last in PLURALS:
        return PLURALS.get(label) or f"{first} {PLURALS[last]}"
    return label if label.endswith(("aircraft", "s")) else f"{label}s"


def one(label: str) -> str:
    """With its article."""
    return f"{'an' if label[0] in 'aeiou' else 'a'} {label}"


def number(count: int) -> str:
    """A small number as a word, a larger one as `many`."""
    return NUMBERS[count] if count <= COUNTED else "many"


def counted(label: str, count: int) -> str:
    """`a ship`, `three ships`, `many ships`."""
    return one(label) if count == 1 else f"{number(count)} {plural(label)}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def middle(box: XYXY, size: Size) -> tuple[float, float]:
    """Of a box, in shares of width and height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1]


def side(boxes: Sequence[XYXY], size: Size) -> str:
    """`at the top left`, `on the right`, `in the middle`: where all of some boxes surely are.

    Empty if they are not on one side, or a middle is too near to where another word begins.
    """
    middles = [middle(box, size) for box in boxes]
    across = _side([x for x, _ in middles], "left", "right")
    down = _side([y for _, y in middles], "top", "bottom")
    if down:
        return f"at the {down} {across}".strip()
    if across:
        return f"on the {across}"
    central = all(abs(x - 0.5) < MIDDLE and abs(y - 0.5) < MIDDLE for x, y in middles)
    return "in the middle" if central else ""


def _side(places: Sequence[float], low: str, high: str) -> str:
    if max(places) < SIDE:
        return low
    return high if min(places) > 1 - SIDE else ""
