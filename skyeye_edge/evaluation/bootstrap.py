"""95 % intervals by drawing images again and again: answers about one image are not independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skyeye_edge.evaluation.figures import Interval

Numbers = npt.NDArray[np.float64]
_TOGETHER = 64  # draws that are in memory at once
_LOW, _HIGH = 2.5, 97.5  # percentiles


@dataclass(frozen=True, slots=True)
class Drawing:
    """How intervals are made: the percentile bootstrap (Efron 1979)."""

    draws: int = 1000  # 0: no intervals
    seed: int = 0


def bootstrap(
    images: Sequence[str],
    parts: npt.ArrayLike,
    figure: Callable[[Numbers], Numbers],
    drawing: Drawing,
) -> Sequence[Interval | None]:
    """Intervals of figures that are functions of sums over samples, as nearly all of ours are.

    Args:
        images: of every sample the name of its image (n); those of one name are drawn together.
        parts: (n, k), what each sample adds to the sums.
        figure: from sums (..., k) to figures (..., m).
        drawing: how often, and the seed.

    Returns:
        The interval of each of the m figures; Nones if nothing is to be drawn.
    """
    rows = np.asarray(parts, dtype=np.float64)
    if not drawing.draws or not len(rows):
        return [None] * len(figure(rows.sum(axis=0)))
    places = image_numbers(images)
    grouped = np.zeros((int(places.max()) + 1, rows.shape[1]))
    np.add.at(grouped, places, rows)
    values = [figure(drawn @ grouped) for drawn in draw_images(len(grouped), drawing)]
    return percentiles(np.concatenate(values))


def percentiles(values: Numbers) -> list[Interval]:
    """Interval of each column of (draws, m) figures; NaN where a figure has none."""
    found = []
    for column in np.atleast_2d(values).T:
        known = column[np.isfinite(column)]
        edges = np.percentile(known, [_LOW, _HIGH]) if len(known) else [np.nan, np.nan]
        found.append((float(edges[0]), float(edges[1])))
    return found


def image_numbers(images: Sequence[str]) -> npt.NDArray[np.intp]:
    """The number of each sample's image (n), counted from 0."""
    _, places = np.unique(np.asarray(images, dtype=str), return_inverse=True)
    return np.asarray(places, dtype=np.intp).reshape(-1)


def draw_images(number: int, drawing: Drawing) -> Iterator[Numbers]:
    """How often each of `number` images is drawn: (draws, number), a few draws at a time."""
    chance = np.random.default_rng(drawing.seed)
    alike = np.full(number, 1 / number)
    for begin in range(0, drawing.draws, _TOGETHER):
        draws = min(_TOGETHER, drawing.draws - begin)
        yield chance.multinomial(number, alike, draws).astype(np.float64)
