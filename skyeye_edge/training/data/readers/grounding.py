"""Expressions with the one box they mean: DIOR-RSVG and RSVG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import (
    Entry,
    OfSplit,
    files_in,
    guarded,
    read_rows,
    split_of,
)
from skyeye_edge.training.data.readers.image_files import image_folders, image_size
from skyeye_edge.training.data.readers.json_files import read_array, read_json_lines
from skyeye_edge.training.data.readers.xml_files import Element, read_xml

_SPLITS = ("train", "val", "test")
_FILE = ("image", "image_id", "file_name", "filename", "img_name", "file")
_WORDS = ("phrase", "expression", "question", "description", "sentence", "ref", "caption", "text")
_BOX = ("bbox", "box", "hbb", "gt_bbox", "ground_truth")


def read_dior_rsvg(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """DIOR-RSVG: a folder of XML files, and `train.txt`, `val.txt`, `test.txt` beside or in it.

    The third child of an `object` is its box, the fourth its expression. The lists hold running
    numbers of objects, counted from 0 over all XML files in the order of their names: one image
    may have expressions in several splits. Words are lower-cased, as the authors' loader does.

    Raises:
        DataError: a file is wrong, or the lists are missing.
    """
    files = files_in(path, ".xml")
    splits = _read_numbers(path if path.is_dir() else path.parent)
    folders = image_folders(path, images)
    number = 0
    for file in files:
        root = read_xml(file)  # whatever is wrong with it, its objects count
        first, number = number, number + len(list(root.all("object")))
        with guarded(file):
            entry = root.entry()
            image = folders.find(entry, entry.text("filename"), file.stem)
            size = image_size(image)
            told: dict[str, list[tuple[str, XYXY]]] = {}
            for place, thing in enumerate(root.all("object"), start=first):
                phrase = _expression(thing, size)
                if place in splits:
                    told.setdefault(splits[place], []).append(phrase)
            for split, phrases in told.items():
                yield split, Annotation((image,), phrases=tuple(phrases))
    if max(splits) >= number:
        raise DataError(
            f"{path}: the lists name object {max(splits)}, but there are {number:,} in "
            f"{len(files):,} XML files: give the folder of all of them"
        )


def _read_numbers(folder: Path) -> dict[int, str]:
    """The split of every numbered object."""
    splits: dict[int, str] = {}
    for place in (folder, folder.parent, folder.parent / "split"):
        for split in _SPLITS:
            if (place / f"{split}.txt").is_file():
                rows = read_rows(place / f"{split}.txt")
                splits |= {entry.whole("line"): split for entry in rows}
        if splits:
            return splits
    raise DataError(f"{folder}: no train.txt, val.txt or test.txt in it, beside it or in split")


def _expression(thing: Element, size: tuple[int, int]) -> tuple[str, XYXY]:
    if len(thing.children) < 4:
        thing.entry().fail("has no third child with the box and no fourth with the expression")
    corners, words = thing.children[2], thing.children[3]
    place = corners.entry()
    edges = [place.number(child.tag) for child in corners.children]
    if len(edges) != 4:
        place.fail(f"has {len(edges)} edges, not four")
    said = f"{edges}"
    box = place.inside(place.checked(edges, said), size, said)
    text = Entry(words.file, words.line, {words.tag: words.text}).text(words.tag)
    return text.lower(), box


def read_rsvg(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """RSVG: a JSON list or JSON Lines of an image, an expression and its box in pixels.

    No file of the set was seen: keys are those that public conversions use (`image` or `image_id`,
    `phrase`, `expression` or `question`, `bbox` as left, top, right, bottom). The split stands in
    the record or in the file's name.

    Raises:
        DataError: an entry is wrong.
    """
    folders = image_folders(file, images)
    for entry in read_json_lines(file) if file.suffix == ".jsonl" else read_array(file):
        with entry.guarded():
            image = folders.find(entry, entry.name(*_FILE))
            key = next((key for key in _BOX if key in entry.values), _BOX[0])
            box = entry.box_in(key, image_size(image))
            split = entry.text("split") if "split" in entry.values else split_of(file)
            yield split, Annotation((image,), phrases=((entry.name(*_WORDS).lower(), box),))
