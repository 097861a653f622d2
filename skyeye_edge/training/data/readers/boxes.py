"""Object boxes: a list of `{file, split, boxes: [{bbox: [x1, y1, x2, y2], label}]}`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import OfSplit
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_size
from skyeye_edge.training.data.readers.json_files import read_array

IMAGES = "images"  # folder beside the annotation file


def read_boxes(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """The images that have at least one box.

    Raises:
        DataError: an entry is wrong.
    """
    folders = ImageFolders((images or file.parent / IMAGES,))
    for entry in read_array(file):
        with entry.guarded():
            boxes = entry.objects("boxes")
            image = folders.find(entry, entry.text("file"))
            if boxes:
                size = image_size(image)
                objects = tuple((box.box_in("bbox", size), box.label("label")) for box in boxes)
                yield entry.text("split"), Annotation((image,), objects=objects)
