"""Captions of research sets, one function per layout.

Words are lower-cased, as the published models learnt them (MiniGPT-v2, blip_processors.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import Entry, OfSplit, read_text, split_of
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_folders
from skyeye_edge.training.data.readers.json_files import read_array, read_json_lines, read_lists

IMAGES = "images"  # folder beside the annotation file
CLASSES = "scene_classes.json"  # beside it, if there are classes: {file: class}


def read_captions(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A list of `{file, split, captions: [...]}`; classes from `scene_classes.json` beside it.

    Raises:
        DataError: an entry is wrong.
    """
    classes = _read_classes(file.parent / CLASSES)
    folders = ImageFolders((images or file.parent / IMAGES,))
    for entry in read_array(file):
        with entry.guarded():
            name = entry.text("file")
            captions = _lower(entry.texts("captions"))
            image = folders.find(entry, name)
            yield entry.text("split"), Annotation((image,), captions, scene=classes.get(name, ""))


def read_karpathy(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """Karpathy's layout: `images[]` of `filename`, `split`, `sentences[].raw`.

    RSICD, UCM-Captions, Sydney-Captions and RSITMD come in it.

    Raises:
        DataError: an entry is wrong.
    """
    folders = image_folders(file, images)
    for entry in read_array(file, "images"):
        with entry.guarded():
            captions = _lower(sentence.text("raw") for sentence in entry.objects("sentences"))
            image = folders.find(entry, *_names(entry))
            yield entry.text("split"), Annotation((image,), captions)


def read_caption_lines(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """JSON Lines of `filename` and `captions`, as CLIP-rsicd writes RSICD.

    The split stands in the file's name; a line may say its own.

    Raises:
        DataError: a line is wrong.
    """
    folders = image_folders(file, images)
    for entry in read_json_lines(file):
        with entry.guarded():
            image = folders.find(entry, entry.name("filename", "file_name", "image"))
            captions = entry.texts("captions") if "captions" in entry.values else ()
            captions = captions or (entry.text("caption"),)
            yield _split(entry), Annotation((image,), _lower(captions))


def read_nwpu_captions(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """NWPU-Captions: `{class: [{filename, split, raw, raw_1, ...}]}`; `raw*` are the captions.

    Images lie in a folder of their class, or all in one. The original file was not seen; the keys
    are those that several public loaders read.

    Raises:
        DataError: an entry is wrong.
    """
    folders = image_folders(file, images)
    for scene, entry in read_lists(file):
        if entry is None:
            continue
        with entry.guarded():
            name = entry.text("filename")
            image = folders.find(entry, f"{scene}/{name}", name)
            raw = [key for key in entry.values if key == "raw" or key.startswith("raw_")]
            captions = _lower(entry.text(key) for key in raw or ["raw"])
            title = scene.replace("_", " ")
            yield entry.text("split"), Annotation((image,), captions, scene=title)


def _names(entry: Entry) -> tuple[str, ...]:
    """The file with the folder that some sets put it into, as COCO's, and alone."""
    name = entry.text("filename")
    return (f"{entry.text('filepath')}/{name}", name) if "filepath" in entry.values else (name,)


def _lower(texts: Iterator[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.lower() for text in texts)


def _split(entry: Entry) -> str:
    return entry.text("split") if "split" in entry.values else split_of(entry.file)


def _read_classes(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        classes = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(classes, dict) or not all(isinstance(v, str) for v in classes.values()):
        raise DataError(f"{file}:1: give one object of image names and class names")
    return classes
