"""Some annotated images on one sheet, with boxes and words."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence
from pathlib import Path

from skyeye_edge.core.errors import MediaError, needs
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.record import read_rgb

COLUMNS, ROWS = 4, 3
COLUMN = 40  # characters of a line
LINES = 4  # of words about an image
NAMED = 8  # boxes of an image that carry their name: more cannot be read
OBJECT, PHRASE = "tab:green", "tab:orange"


def draw_examples(items: Sequence[Annotation], file: Path, seed: int = 0) -> Path:
    """Draw up to a dozen of them, chosen by the seed; objects green, phrases orange."""
    with needs("training"):
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    chance = random.Random(f"examples {seed}")  # noqa: S311 - repeatable, not secret
    chosen = chance.sample(list(items), min(len(items), COLUMNS * ROWS))
    figure = Figure(figsize=(4 * COLUMNS, 4.2 * ROWS), layout="constrained")
    axes = figure.subplots(ROWS, COLUMNS, squeeze=False).ravel()
    for each in axes:
        each.set_axis_off()
    for place, item in zip(axes, chosen, strict=False):
        try:
            place.imshow(read_rgb(item.image))
        except MediaError as error:
            place.set_title(_wrapped(str(error)), fontsize=7, loc="left")
            continue
        named = [(label, box, OBJECT) for box, label in item.objects]
        named += [(words, box, PHRASE) for words, box in item.phrases]
        for number, (name, (x1, y1, x2, y2), colour) in enumerate(named):
            edge = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour)
            place.add_patch(edge)
            if number < NAMED:
                place.text(x1, y1, name[:COLUMN], fontsize=6, color=colour, parse_math=False)
        place.set_title(_wrapped(_told(item)), fontsize=7, loc="left", parse_math=False)
    figure.savefig(file, dpi=80)
    return file


def _told(item: Annotation) -> str:
    told = [item.scene] if item.scene else []
    told += item.captions[:2]
    told += [f"{question} {answer}" for question, answer in item.questions[:2]]
    return "\n".join(told)


def _wrapped(text: str) -> str:
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, COLUMN)]
    return "\n".join(lines[:LINES])
