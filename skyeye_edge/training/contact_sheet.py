"""Some images with the answers from before and after a run, side by side on one sheet."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import needs
from skyeye_edge.evaluation import CheckedAnswer
from skyeye_edge.training.data.record import read_rgb
from skyeye_edge.training.scoring import GROUPS, Asked, ScoredImage, Scores

PER_GROUP = 4  # images
PAIRS = 2  # of before and after in a row
COLUMN = 44  # characters of a line above a picture
SHOWN = 4  # answers in words of an image
WANTED, SAID = "tab:green", "tab:red"


def draw_sheet(chosen: Sequence[Asked], scores: Scores, file: Path) -> Path:
    """Draw the first images of each group; green boxes are the truth, red ones the answer.

    Args:
        chosen: the images, as they were asked about.
        scores: the answers, in the same order.
        file: a JPEG file to be written.
    """
    with needs("training"):
        from matplotlib.figure import Figure
    pairs = list(zip(chosen, scores.images, strict=False))
    shown = [
        pair
        for group in GROUPS
        for pair in [pair for pair in pairs if pair[0].group == group][:PER_GROUP]
    ]
    rows = max(1, -(-len(shown) // PAIRS))
    figure = Figure(figsize=(6.4 * PAIRS, 4.4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2 * PAIRS, squeeze=False)
    for each in axes.flat:
        each.set_axis_off()
    for place, (asked, image) in enumerate(shown):
        row, left = place // PAIRS, place % PAIRS * 2
        rgb = read_rgb(asked.known.image)
        heading = f"{GROUPS[asked.group]}: {asked.name}"
        _draw(axes[row][left], rgb, image.before, f"{heading}\nBEFORE")
        _draw(axes[row][left + 1], rgb, image.after, f"{_wanted(image)}\nAFTER")
    with warnings.catch_warnings():  # of letters that its font has not, which are drawn as boxes
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(file, dpi=80)
    return file


def _draw(axes: Any, rgb: Any, answers: Sequence[CheckedAnswer], heading: str) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(rgb)
    axes.set_anchor("N")
    lines = [_line(answer.asked, answer.said) for answer in answers if not answer.wanted_box]
    text = "\n".join(
        textwrap.shorten(line, COLUMN * 2, placeholder=" …")
        for line in [*heading.split("\n"), *lines[:SHOWN]]
    )
    axes.set_title(_wrapped(text), loc="left", fontsize=7, parse_math=False)
    for answer in answers:
        for box, colour in ((answer.wanted_box, WANTED), (answer.said_box, SAID)):
            if box:
                x1, y1, x2, y2 = box
                axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour))


def _wanted(image: ScoredImage) -> str:
    captions = [answer.wanted for answer in image.before if answer.kind == "captions"]
    return f"wanted: {captions[0]}" if captions else ""


def _line(asked: str, said: str) -> str:
    return f"{asked} {said}".strip() if asked else said


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.fill(line, COLUMN) for line in text.split("\n"))
