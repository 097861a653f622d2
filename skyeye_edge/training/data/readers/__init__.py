"""Annotation files, read into `Annotation`s; one module per kind of file.

`READERS` is the only list of what can be read: recipes, `data` and `evaluate` take names from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.boxes import read_boxes
from skyeye_edge.training.data.readers.captions import (
    read_caption_lines,
    read_captions,
    read_karpathy,
    read_nwpu_captions,
)
from skyeye_edge.training.data.readers.coco import read_coco
from skyeye_edge.training.data.readers.conversations import read_conversations
from skyeye_edge.training.data.readers.detection_text import (
    read_dota,
    read_nwpu_vhr10,
    read_visdrone,
    read_yolo,
)
from skyeye_edge.training.data.readers.entries import OfSplit, listening
from skyeye_edge.training.data.readers.grounding import read_dior_rsvg, read_rsvg
from skyeye_edge.training.data.readers.lines import read_lines
from skyeye_edge.training.data.readers.questions import read_rsivqa, read_rsvqa
from skyeye_edge.training.data.readers.scenes import read_flown, read_scenes
from skyeye_edge.training.data.readers.skyeye import read_skyeye
from skyeye_edge.training.data.readers.videos import read_capera
from skyeye_edge.training.data.readers.voc import read_voc
from skyeye_edge.training.data.readers.vrsbench import read_vrsbench

# The annotation file or folder, and the folder of its images where it is not the usual one.
Reader = Callable[[Path, Path | None], Iterator[OfSplit]]
READERS: Mapping[str, Reader] = {
    "lines": read_lines,
    "captions": read_captions,
    "karpathy": read_karpathy,
    "boxes": read_boxes,
    "scenes": read_scenes,
    "flown": read_flown,
    "caption_lines": read_caption_lines,
    "nwpu_captions": read_nwpu_captions,
    "capera": read_capera,
    "rsvqa": read_rsvqa,
    "rsivqa": read_rsivqa,
    "dior_rsvg": read_dior_rsvg,
    "rsvg": read_rsvg,
    "conversations": read_conversations,
    "vrsbench": read_vrsbench,
    "skyeye": read_skyeye,
    "dota": read_dota,
    "voc": read_voc,
    "visdrone": read_visdrone,
    "coco": read_coco,
    "yolo": read_yolo,
    "nwpu_vhr10": read_nwpu_vhr10,
}


def read_annotations(
    path: Path, kind: str, split: str, images: Path | None = None
) -> list[Annotation]:
    """The annotated images of one split.

    Args:
        path: the annotation file, or a folder of them.
        kind: how it is written, one of `READERS`; docs/data.md shows each.
        split: "train", "val", ...; "all" takes every image.
        images: the folder with the images; None: where the format usually has them.

    Raises:
        DataError: the file is missing, wrong somewhere, or has no image of that split.
    """
    return of_split(path, read_splits(path, kind, images), split)


def read_splits(path: Path, kind: str, images: Path | None = None) -> list[OfSplit]:
    """All annotated images of a file, each with the name of its split.

    Raises:
        DataError: the format is not known, the file is missing, or wrong somewhere.
    """
    return list(_reader(path, kind)(path, images))


def _reader(path: Path, kind: str) -> Reader:
    if kind not in READERS:
        raise DataError(f"{path}: format {kind!r} is not known; known are {', '.join(READERS)}")
    return READERS[kind]


@dataclass(frozen=True, slots=True)
class Found:
    """An annotated image, and where it was found."""

    place: str  # file and line
    split: str
    item: Annotation


def read_found(
    path: Path, kind: str, images: Path | None = None
) -> tuple[list[Found], list[DataError]]:
    """All annotated images of a file with their places, and what is wrong with the other entries.

    What makes the file as a whole unreadable is among the errors, too, and ends the reading.

    Raises:
        DataError: the format is not known.
    """
    reader, found = _reader(path, kind), []
    with listening() as reading:
        try:
            for split, item in reader(path, images):
                found.append(Found(reading.place or str(path), split, item))
        except DataError as error:
            reading.problems.append(error)
    return found, reading.problems


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
