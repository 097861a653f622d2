"""Images that show the same: copies that were encoded again, resized or cut at the edges.

Perceptual hashes (of the image and of it slightly cut) name candidates; they are then laid over
each other, and what correlates is the same picture. Of hashes alone, one in a thousand pairs of
different satellite images would pass for a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.errors import needs
from skyeye_edge.training.data.record import RGB

Grey = npt.NDArray[np.floating[Any]]

SIDE = 64  # pixels of the small grey picture that is compared
# Cut off at left, top, right and bottom, as shares of the side.
CUTS = (
    (0.0, 0.0, 0.0, 0.0),
    (0.025, 0.025, 0.025, 0.025),
    (0.05, 0.05, 0.05, 0.05),
    (0.08, 0.0, 0.0, 0.08),
    (0.0, 0.08, 0.08, 0.0),
    (0.08, 0.08, 0.0, 0.0),
    (0.0, 0.0, 0.08, 0.08),
)
NEAR = 24  # bits of 128 in which the two hashes of candidates differ at most
ALIKE = 0.9  # correlation from which two pictures show the same
# And in their detail alone: two boats on plain water, or two straight coasts, are not the same.
DETAIL_ALIKE = 0.7
COARSE = 8  # smoothings that leave no detail
STEPS = 12  # of laying one over the other, at most
STILL = 0.02  # pixels of movement: nothing more is gained
LEAST_SHARED = 0.75  # of the side that must lie over each other
BLOCK = 1024  # rows of hashes that are compared at once
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What is compared of an image."""

    hashes: npt.NDArray[np.int8]  # (kinds, cuts, 64), +1 and -1
    grey: Grey  # (SIDE, SIDE), smoothed


def likeness(rgb: RGB) -> Likeness:
    """What is compared of an image, (H, W, 3) uint8."""
    with needs("training"):
        import imagehash
    grey = Image.fromarray(rgb).convert("L")
    grey = grey.resize((2 * SIDE, 2 * SIDE), Image.Resampling.BOX)
    cut = [grey.crop(_window(cuts, 2 * SIDE)) for cuts in CUTS]
    kinds = [[imagehash.phash(each).hash.ravel() for each in cut]]
    kinds += [[imagehash.dhash(each).hash.ravel() for each in cut]]
    bits = np.where(np.array(kinds, bool), 1, -1).astype(np.int8)
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Likeness(bits, _smooth(np.asarray(small, np.float32)).astype(np.float16))


def same_pictures(
    ours: Sequence[Likeness], theirs: Sequence[Likeness]
) -> Iterator[tuple[int, int, float]]:
    """(place in `ours`, place in `theirs`, correlation) of pairs that show the same.

    Args:
        ours: images of one side.
        theirs: of the other.
    """
    if not ours or not theirs:
        return
    here, there = (np.stack([each.hashes for each in side]) for side in (ours, theirs))
    for first in range(0, len(ours), BLOCK):
        block = here[first : first + BLOCK]
        agree = sum(_agreement(block[:, kind], there[:, kind]) for kind in range(here.shape[1]))
        for row, column in np.argwhere(agree >= here.shape[1] * 64 - 2 * NEAR):
            alike = _alike(ours[first + row].grey, theirs[column].grey)
            if alike is not None:
                yield first + int(row), int(column), alike


def _alike(ours: Grey, theirs: Grey) -> float | None:
    """Correlation of two pictures if they show the same."""
    one, other = ours.astype(np.float32), theirs.astype(np.float32)
    alike = max(correlation(one, other), correlation(other, one))
    if alike < ALIKE:
        return None
    one, other = _detail(one), _detail(other)
    detail = max(correlation(one, other), correlation(other, one))
    return alike if detail >= DETAIL_ALIKE else None


def _detail(grey: Grey) -> Grey:
    """What smoothing takes away, strong edges cut to the size of the rest."""
    coarse = grey
    for _ in range(COARSE):
        coarse = _smooth(coarse)
    detail = grey - coarse
    reach = 1.5 * np.percentile(np.abs(detail), 70) + 1e-3
    return np.clip(detail, -reach, reach).astype(np.float32)


def correlation(one: Grey, other: Grey) -> float:
    """-1 to 1: of two grey pictures of SIDE pixels, laid over each other as well as can be.

    The first is shifted and stretched by least squares on its gradients (Lucas and Kanade 1981),
    brightness and contrast are free. What was cut off by more than an eighth is not found.
    """
    middle = (SIDE - 1) / 2
    grid = np.arange(SIDE) - middle
    across, down = np.gradient(one, axis=1), np.gradient(one, axis=0)
    stretch_x, shift_x, stretch_y, shift_y = 0.0, 0.0, 0.0, 0.0
    best = -1.0
    for _ in range(STEPS):
        x = middle + grid * (1 + stretch_x) + shift_x
        y = middle + grid * (1 + stretch_y) + shift_y
        columns, rows = ((at >= 0) & (at <= SIDE - 1) for at in (x, y))
        if min(columns.sum(), rows.sum()) < LEAST_SHARED * SIDE:
            break
        target = other[rows][:, columns]
        seen, slope_x, slope_y = (
            _between(each, x[columns], y[rows]) for each in (one, across, down)
        )
        best = max(best, _correlated(seen, target))
        parts = [
            slope_x * grid[columns], slope_x, slope_y * grid[rows][:, None], slope_y,
            seen, np.ones_like(seen),
        ]  # fmt: skip
        moved = _moved(np.stack([part.ravel() for part in parts]), target.ravel())
        stretch_x += float(np.clip(moved[0], -0.1, 0.1))
        shift_x += float(np.clip(moved[1], -3, 3))
        stretch_y += float(np.clip(moved[2], -0.1, 0.1))
        shift_y += float(np.clip(moved[3], -3, 3))
        if np.abs(moved[[1, 3]]).max() < STILL and np.abs(moved[[0, 2]]).max() < STILL / middle:
            break
    return best


def _moved(parts: Grey, target: Grey) -> Grey:
    """Stretch and shift, across and down, that explain (pixels,) best; of (6, pixels) parts."""
    squares = (parts @ parts.T).astype(np.float64)
    squares += np.diag(1e-4 * squares.diagonal() + 1e-6)  # ground without detail fixes nothing
    found = np.linalg.solve(squares, (parts @ target).astype(np.float64))
    moved: Grey = found[:4] / max(0.2, abs(found[4]))
    return moved


def _agreement(ours: npt.NDArray[np.int8], theirs: npt.NDArray[np.int8]) -> Grey:
    """(n, m), 64 less two for every bit in which hashes differ: one whole, the other best cut.

    Of (n, cuts, 64) and (m, cuts, 64) hashes.
    """
    one, other = ours.astype(np.float32), theirs.astype(np.float32)
    best: Grey = one[:, 0] @ other[:, 0].T
    for cut in range(1, len(CUTS)):
        np.maximum(best, one[:, 0] @ other[:, cut].T, out=best)
        np.maximum(best, one[:, cut] @ other[:, 0].T, out=best)
    return best


def _window(cuts: tuple[float, float, float, float], side: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(cut * side) for cut in cuts)
    return left, top, side - right, side - bottom


def _smooth(grey: Grey) -> Grey:
    for axis in (0, 1):
        padded = np.pad(grey, [(2, 2) if axis == each else (0, 0) for each in (0, 1)], "edge")
        grey = sum(
            (
                weight * np.take(padded, range(place, place + SIDE), axis)
                for place, weight in enumerate(_BINOMIAL)
            ),
            np.zeros_like(grey),
        )
    return grey


def _between(picture: Grey, x: Grey, y: Grey) -> Grey:
    """(len(y), len(x)) values at places between pixels."""
    left = np.clip(np.floor(x).astype(int), 0, SIDE - 2)
    top = np.clip(np.floor(y).astype(int), 0, SIDE - 2)
    right_share = (x - left).astype(np.float32)
    low_share = (y - top).astype(np.float32)[:, None]
    rows = picture[top] * (1 - low_share) + picture[top + 1] * low_share
    found: Grey = rows[:, left] * (1 - right_share) + rows[:, left + 1] * right_share
    return found


def _correlated(one: Grey, other: Grey) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 1e-3 else 0.0
