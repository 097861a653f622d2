"""Annotation files, read into `Annotation`s; one module per kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.boxes import read_boxes
from skyeye_edge.training.data.readers.captions import read_captions, read_karpathy
from skyeye_edge.training.data.readers.lines import read_lines

Format = Literal["lines", "captions", "karpathy", "boxes"]


def read_annotations(path: Path, kind: Format, split: str) -> list[Annotation]:
    """The annotated images of one split.

    Args:
        path: the annotation file.
        kind: how it is written; docs/train.md shows each.
        split: "train", "val", ...; "all" takes every image.

    Raises:
        DataError: the file is missing, wrong somewhere, or has no image of that split.
    """
    match kind:
        case "lines":
            return read_lines(path, split)
        case "captions":
            return read_captions(path, split)
        case "karpathy":
            return read_karpathy(path, split)
        case "boxes":
            return read_boxes(path, split)
