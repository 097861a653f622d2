"""Detection sets in VOC's XML, upright and rotated: DIOR, HRRSD, HIT-UAV and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from skyeye_edge.training.data.labels import ANY
from skyeye_edge.training.data.readers.boxed import Boxed, hull, rotated_hull
from skyeye_edge.training.data.readers.entries import (
    OfSplit,
    files_in,
    guarded,
    read_rows,
    split_of,
)
from skyeye_edge.training.data.readers.image_files import image_folders
from skyeye_edge.training.data.readers.names import in_words, is_ignored
from skyeye_edge.training.data.readers.xml_files import Element, read_xml

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")
_CORNERS = tuple(
    f"{axis}_{corner}"
    for corner in ("left_top", "right_top", "right_bottom", "left_bottom")
    for axis in ("x", "y")
)  # of DIOR's oriented boxes


def read_voc(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A folder of XML files; splits from `ImageSets/Main/*.txt` near it, else from folder names.

    Of rotated boxes (`cx cy w h angle` in radians, as roLabelImg writes, or DIOR's four corners)
    the upright box around them is taken. A `difficult` object is not learnt, and its label is
    neither counted nor denied in that image; an ignored region does that to all labels.

    Raises:
        DataError: a file is wrong.
    """
    folders = image_folders(path, images)
    splits = _read_splits(path if path.is_dir() else path.parent)
    for file in files_in(path, ".xml"):
        with guarded(file):
            root = read_xml(file)
            entry = root.entry()
            boxed = Boxed(folders.find(entry, entry.text("filename"), file.stem))
            for thing in root.all("object"):
                _add(thing, boxed)
            yield splits.get(file.stem, split_of(file)), boxed.annotation()


def _add(thing: Element, boxed: Boxed) -> None:
    entry = thing.entry()
    name = entry.label("name")
    label = in_words(name)
    if is_ignored(name):
        boxed.unsure(ANY)
    elif entry.values.get("difficult", "0") not in ("0", ""):
        boxed.unsure(label)
    else:
        boxed.add(entry, _edges(thing), label)


def _edges(thing: Element) -> Sequence[float]:
    for box in (thing.first("bndbox"), thing.first("robndbox")):
        if box is None:
            continue
        entry = box.entry()
        if all(tag in entry.values for tag in _EDGES):
            return [entry.number(tag) for tag in _EDGES]
        if all(tag in entry.values for tag in _CORNERS):
            return hull([entry.number(tag) for tag in _CORNERS])
        x, y, width, height, radians = (entry.number(tag) for tag in _TURNED)
        return rotated_hull(x, y, width, height, radians)
    thing.entry().fail("has neither a <bndbox> nor a <robndbox>")


def _read_splits(folder: Path) -> dict[str, str]:
    """The split of every file, where lists of them are near; narrower lists win over `trainval`."""
    for base in (folder, folder.parent, folder.parent.parent):
        lists = base / "ImageSets" / "Main"
        if lists.is_dir():
            splits: dict[str, str] = {}
            for name, split in (("trainval", "train"), *((s, s) for s in ("train", "val", "test"))):
                if (lists / f"{name}.txt").is_file():
                    rows = read_rows(lists / f"{name}.txt")
                    splits |= {entry.text("line").split()[0]: split for entry in rows}
            return splits
    return {}
