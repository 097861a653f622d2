"""Annotated boxes as phrases to ground: what scores of boxes are calibrated and evaluated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.errors import DataError
from skyeye_edge.evaluation import GroundItem
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.known import missing_labels, sure_objects
from skyeye_edge.training.data.readers import read_annotations
from skyeye_edge.training.data.readers.entries import read_text

HELD_OUT = "val"


def read_ground_items(files: Sequence[Path]) -> list[GroundItem]:
    """Phrases of annotation files in our own format (`lines`), or as `boxes`.

    Of all files together, the images of the split "val" if there are any, else all images. Present
    are the phrases of a line, and `the <label>` where an image has one object of that label; absent
    those of a line, and `the <label>` of labels that the image has none of: of the latter about as
    many as there are present ones, and at least one.

    Raises:
        DataError: a file is missing or wrong, or there is nothing to ask.
    """
    sets = [_read(Path(file)) for file in files]
    held_out = any(split == HELD_OUT for pairs in sets for split, _ in pairs)
    items: list[GroundItem] = []
    for pairs in sets:
        labels = DataSet("", tuple(item for _, item in pairs)).labels
        chosen = [item for split, item in pairs if split == HELD_OUT or not held_out]
        items += [_ground_item(item, labels) for item in chosen]
    items = [item for item in items if item.present or item.absent]
    if not items:
        names = ", ".join(str(file) for file in files)
        raise DataError(f"{names}: nothing to ask: no phrase, and no label that an image has once")
    return items


def _read(file: Path) -> list[tuple[str, Annotation]]:
    """Every image with its split, which is "" for all others than the held-out one."""
    kind = "boxes" if read_text(file).lstrip().startswith("[") else "lines"
    everything = read_annotations(file, kind, "all")
    try:
        held_out = {str(item.image) for item in read_annotations(file, kind, HELD_OUT)}
    except DataError:  # none of that split; everything else would have been said above
        held_out = set()
    return [(HELD_OUT if str(item.image) in held_out else "", item) for item in everything]


def _ground_item(item: Annotation, labels: Sequence[str]) -> GroundItem:
    objects = sure_objects(item)
    counts = Counter(label for _, label in objects)
    unique = [(f"the {name}", box) for box, name in objects if counts[name] == 1]
    present = dict([*unique, *item.phrases])
    missing = [f"the {name}" for name in missing_labels(item, labels)]
    absent = _few(missing, max(1, len(present))) + list(item.absent)
    return GroundItem(item.path, _size(item.path), tuple(present.items()), tuple(absent))


def _few(words: Sequence[str], number: int) -> list[str]:
    """At most `number`, evenly spaced."""
    if len(words) <= number:
        return list(words)
    return [words[int(place)] for place in np.linspace(0, len(words) - 1, number)]


def _size(path: Path) -> Size:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).size
