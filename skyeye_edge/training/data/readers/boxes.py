"""Object boxes: a list of `{file, split, boxes: [{bbox: [x1, y1, x2, y2], label}]}`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import OfSplit, read_array

IMAGES = "images"  # folder beside the annotation file


def read_boxes(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """The images that have at least one box.

    Raises:
        DataError: an entry is wrong.
    """
    for entry in read_array(file):
        boxes = entry.objects("boxes")
        image = entry.image(entry.text("file"), images or file.parent / IMAGES)
        objects = tuple((box.box_in("bbox", image), box.label("label")) for box in boxes)
        if objects:
            yield entry.text("split"), Annotation((image,), objects=objects)
