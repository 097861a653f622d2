"""Several boxes against several objects."""

from __future__ import annotations

from collections.abc import Sequence

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.evaluation.grounding import ENOUGH, overlap


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
