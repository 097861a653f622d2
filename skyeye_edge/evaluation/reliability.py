"""Whether scores are what they say: of boxes with a score of 0.7, 70 % should be right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from skyeye_edge.core.errors import needs

Scored = tuple[float, bool]  # score of a box, and whether the box is right


def expected_calibration_error(scored: Sequence[Scored], bins: int = 10) -> float:
    """Mean distance of score and share of right boxes, over `bins` equal ranges of scores.

    Weighted by the boxes in each; 0 is perfect, NaN if there is no box (Naeini et al. 2015).
    """
    rows = reliability(scored, bins)
    total = sum(number for _, _, number in rows)
    if not total:
        return math.nan
    return sum(abs(score - right) * number for score, right, number in rows) / total


def reliability(scored: Sequence[Scored], bins: int = 10) -> list[tuple[float, float, int]]:
    """Of each range of scores that has boxes: mean score, share of right ones, number."""
    rows = []
    places = [min(bins - 1, int(score * bins)) for score, _ in scored]
    for place in range(bins):
        inside = [pair for pair, at in zip(scored, places, strict=True) if at == place]
        if inside:
            score = sum(score for score, _ in inside) / len(inside)
            rows.append((score, sum(right for _, right in inside) / len(inside), len(inside)))
    return rows


def plot_reliability(series: Mapping[str, Sequence[Scored]], path: Path) -> None:
    """A reliability diagram: score against share of right boxes, the size of a dot its boxes.

    Args:
        series: scored boxes by name.
        path: a picture, of a kind that matplotlib writes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needs("evaluation"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(5, 5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as it should be")
    for name, scored in series.items():
        rows = reliability(scored)
        error = expected_calibration_error(scored)
        label = f"{name}: ECE {error:.3f}, n {len(scored)}"
        (line,) = axes.plot([row[0] for row in rows], [row[1] for row in rows], label=label)
        sizes = [20 + 400 * number / max(1, len(scored)) for _, _, number in rows]
        axes.scatter(
            [row[0] for row in rows], [row[1] for row in rows], s=sizes, color=line.get_color()
        )
    axes.set(xlabel="score", ylabel="share of right boxes", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path)
