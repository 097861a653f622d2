"""Captions of research sets: a plain list of images, and Karpathy's `dataset_*.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import Entry, OfSplit, read_array, read_text

IMAGES = "images"  # folder beside the annotation file
CLASSES = "scene_classes.json"  # beside it, if there are classes: {file: class}


def read_captions(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A list of `{file, split, captions: [...]}`; classes from `scene_classes.json` beside it.

    Words are lower-cased, as the published models learnt them (MiniGPT-v2, blip_processors.py).

    Raises:
        DataError: an entry is wrong.
    """
    classes = _read_classes(file.parent / CLASSES)
    for entry in read_array(file):
        name = entry.text("file")
        captions = tuple(text.lower() for text in entry.texts("captions"))
        image = entry.image(name, images or file.parent / IMAGES)
        annotation = Annotation((image,), captions, scene=classes.get(name, ""))
        yield entry.text("split"), annotation


def read_karpathy(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """Karpathy's layout, as RSICD, UCM and Sydney captions come: `images[].sentences[].raw`.

    Raises:
        DataError: an entry is wrong.
    """
    for entry in read_array(file, IMAGES):
        captions = tuple(sentence.text("raw").lower() for sentence in entry.objects("sentences"))
        annotation = Annotation((_karpathy_image(entry, images),), captions)
        yield entry.text("split"), annotation


def _karpathy_image(entry: Entry, images: Path | None) -> Path:
    name, beside = entry.text("filename"), entry.file.parent
    usual = beside / IMAGES if (beside / IMAGES).is_dir() else beside
    return entry.image(name, images or usual)


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
