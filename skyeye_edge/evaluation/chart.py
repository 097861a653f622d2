"""Figures as bars with their intervals, and published ones as marks beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.errors import needs

if TYPE_CHECKING:
    from skyeye_edge.evaluation.report import Evaluation

_MOST_BARS = 24  # of a table; scene classes may be many more
_MARKED = "SkyEyeGPT"  # the published method that is drawn


def draw_chart(found: Evaluation, path: Path) -> None:
    """Draw every table of an evaluation below the other, as PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needs("evaluation"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    bars = [
        [figure for figure in table.figures if figure.value is not None][:_MOST_BARS]
        for table in found.tables
    ]
    heights = [0.9 + 0.28 * len(own) for own in bars]
    canvas = Canvas(figsize=(8, sum(heights) + 0.6), layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.suptitle(found.name)
    rows = canvas.subplots(len(bars), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, table, own in zip(rows, found.tables, bars, strict=True):
        axes.set_title(f"{table.task}: {table.title}", fontsize=10, loc="left")
        names = [f"{figure.name} (n {figure.number:,})" for figure in own]
        places = range(len(own))
        values = [figure.value for figure in own]
        axes.barh(places, values, color="#4a7ebb", height=0.6)
        for place, figure in enumerate(own):
            if figure.interval is not None:
                axes.plot(figure.interval, [place, place], color="black", linewidth=1.2)
        _mark_published(axes, found, table.task, table.title, [figure.name for figure in own])
        axes.set_yticks(places, names, fontsize=8)
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.tick_params(axis="x", labelsize=8)
    canvas.savefig(path, dpi=110)


def _mark_published(axes: Any, found: Evaluation, task: str, title: str, names: list[str]) -> None:
    rows = [
        row
        for row in found.published
        if row.task == task and row.method == _MARKED and row.title in ("", title)
    ]
    marks = [
        (row.figures[name], place)
        for row in rows
        for place, name in enumerate(names)
        if name in row.figures
    ]
    if marks:
        axes.plot(*zip(*marks, strict=True), "D", color="#c0504d", label=f"{_MARKED}, published")
        axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
