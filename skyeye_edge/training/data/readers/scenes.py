"""Pictures with a class or about a flight: lists as the development data comes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry, OfSplit
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_size
from skyeye_edge.training.data.readers.json_files import read_array

IMAGES = "images"  # folder beside the annotation file


def read_scenes(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A list of `{file, split, scene, captions: [...]}`; one of the two last may be missing.

    Raises:
        DataError: an entry is wrong.
    """
    folders = ImageFolders((images or file.parent / IMAGES,))
    for entry in read_array(file):
        with entry.guarded():
            image = folders.find(entry, entry.text("file"))
            scene = entry.text("scene") if entry.values.get("scene") else ""
            yield entry.text("split"), Annotation((image,), _captions(entry), scene=scene)


def read_flown(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """Oblique drone frames: `{file, split, scene, captions, questions, absent, boxes}`.

    Only some objects have a box, one of each label, so a box is a phrase; what `absent` names is
    not there. `questions` are pairs of question and answer.

    Raises:
        DataError: an entry is wrong.
    """
    folders = ImageFolders((images or file.parent / IMAGES,))
    for entry in read_array(file):
        with entry.guarded():
            image = folders.find(entry, entry.text("file"))
            boxes = entry.objects("boxes")
            size = image_size(image) if boxes else UNKNOWN
            yield (
                entry.text("split"),
                Annotation(
                    (image,),
                    _captions(entry),
                    phrases=tuple(
                        (f"the {box.label('label')}", box.box_in("bbox", size)) for box in boxes
                    ),
                    absent=tuple(f"the {thing}" for thing in entry.texts("absent")),
                    questions=tuple(_questions(entry)),
                    scene=entry.text("scene"),
                    upright=True,
                ),
            )


def _captions(entry: Entry) -> tuple[str, ...]:
    told = entry.texts("captions") if entry.values.get("captions") else ()
    return tuple(text.lower() for text in told)


def _questions(entry: Entry) -> Iterator[tuple[str, str]]:
    for pair in entry.values.get("questions") or ():
        if not isinstance(pair, list) or not all(isinstance(words, str) for words in pair):
            entry.fail('"questions" are pairs: [["is there a boat?", "no"], ...]')
        question, answer = pair
        yield question, answer
