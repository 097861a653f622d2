"""What every cell of a grid over a picture shows: targets for the heads on patches and tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.boxes import XYXY


def dense_targets(
    objects: Sequence[tuple[XYXY, int]], rows: int, columns: int, known: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """What every cell of a grid shows: label (-1 nothing, -2 unknown) and box.

    A cell belongs to the smallest object over its centre; an object over no centre takes the cell
    below its own.

    Args:
        objects: boxes in 0..1 and labels.
        rows: cells from top to bottom.
        columns: cells from left to right.
        known: whether a cell without object is known to show none.

    Returns:
        (rows * columns,) labels and (rows * columns, 4) boxes.
    """
    labels = np.full((rows, columns), -1 if known else -2, np.int64)
    boxes = np.zeros((rows, columns, 4), np.float32)
    for (x1, y1, x2, y2), label in sorted(
        objects, key=lambda each: -(each[0][2] - each[0][0]) * (each[0][3] - each[0][1])
    ):
        place = np.ix_(_cells(y1, y2, rows), _cells(x1, x2, columns))
        labels[place] = label
        boxes[place] = (x1, y1, x2, y2)
    return labels.reshape(-1), boxes.reshape(-1, 4)


def _cells(low: float, high: float, number: int) -> npt.NDArray[np.int64]:
    centres = (np.arange(number) + 0.5) / number
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    middle = min(number - 1, int((low + high) / 2 * number))
    return inside if len(inside) else np.array([middle])
