"""Annotation files, read into `Annotation`s; one module per kind of file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.boxes import read_boxes
from skyeye_edge.training.data.readers.captions import read_captions, read_karpathy
from skyeye_edge.training.data.readers.entries import OfSplit
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
    return of_split(path, read_splits(path, kind), split)


def read_splits(path: Path, kind: Format) -> list[OfSplit]:
    """All annotated images of a file, each with the name of its split.

    Raises:
        DataError: the file is missing, or wrong somewhere.
    """
    match kind:
        case "lines":
            return read_lines(path)
        case "captions":
            return read_captions(path)
        case "karpathy":
            return read_karpathy(path)
        case "boxes":
            return read_boxes(path)


def of_split(file: Path, found: Sequence[OfSplit], split: str) -> list[Annotation]:
    """Those of a file's images that belong to `split`; "all" takes every one.

    Raises:
        DataError: there is none.
    """
    kept = [item for name, item in found if split in ("all", name)]
    if not kept:
        known = ", ".join(sorted({name for name, _ in found})) or "none at all"
        raise DataError(f"{file}: no image of split {split!r}; there are: {known}")
    return kept
