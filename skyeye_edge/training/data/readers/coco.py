"""COCO's JSON: boxes, captions, or both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.labels import ANY
from skyeye_edge.training.data.readers.boxed import Boxed
from skyeye_edge.training.data.readers.entries import Entry, OfSplit, is_number, shown, split_of
from skyeye_edge.training.data.readers.image_files import image_folders
from skyeye_edge.training.data.readers.json_files import read_lists
from skyeye_edge.training.data.readers.names import in_words, is_ignored

_LISTS = ("images", "categories", "annotations", "annotation")  # HIT-UAV has the last


def read_coco(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """`images`, `annotations` and `categories`; an annotation has a `bbox` or a `caption`.

    Boxes are left, top, width, height. Captions are lower-cased. A crowd (`iscrowd`) or a box
    without area makes its label unsure: neither counted nor denied in that image; an ignored
    category does that to all. The split is `split` of an image, else what the file is called.

    Raises:
        DataError: an entry is wrong.
    """
    pictures: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    said: dict[str, list[Entry]] = {}
    for key, entry in read_lists(file, *_LISTS):
        if entry is None:
            continue
        if key == "images":
            pictures[entry.name("id")] = entry
        elif key == "categories":
            names[entry.name("id")] = entry
        else:
            said.setdefault(entry.name("image_id"), []).append(_slim(entry))
    for image, entries in said.items():
        if image not in pictures:
            entries[0].fail(f"image {image} is not in the list of images")
    folders = image_folders(file, images)
    for number, picture in pictures.items():
        with picture.guarded():
            path = folders.find(picture, picture.name("file_name", "filename"))
            split = picture.text("split") if "split" in picture.values else split_of(file)
            yield split, _annotation(path, said.pop(number, []), names)


def _slim(entry: Entry) -> Entry:
    """Without outlines, which are most of a large file."""
    kept = {key: value for key, value in entry.values.items() if key != "segmentation"}
    return replace(entry, values=kept)


def _annotation(image: Path, entries: list[Entry], names: dict[str, Entry]) -> Annotation:
    captions = tuple(
        entry.text("caption").lower() for entry in entries if "caption" in entry.values
    )
    if all("caption" in entry.values for entry in entries):
        return Annotation((image,), captions)
    boxed = Boxed(image)
    for entry in entries:
        if "caption" not in entry.values:
            _add(entry, boxed, names)
    return replace(boxed.annotation(), captions=captions)


def _add(entry: Entry, boxed: Boxed, names: dict[str, Entry]) -> None:
    category = entry.name("category_id")
    if category not in names:
        entry.fail(f"category {category} is not in the list of categories")
    name = names[category].label("name")
    value = entry.values.get("bbox")
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        entry.fail(f'"bbox" is {shown(value)}; give [left, top, width, height] in pixels')
    left, top, width, height = value
    if is_ignored(name):
        boxed.unsure(ANY)
    elif entry.values.get("iscrowd") or (min(width, height) == 0):
        boxed.unsure(in_words(name))
    else:
        boxed.add(entry, (left, top, left + width, top + height), in_words(name))
