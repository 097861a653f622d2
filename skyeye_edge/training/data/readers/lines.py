"""Our own format: JSON Lines, one object per image, written by hand or by a short script.

    {"image": "a.jpg", "captions": ["a boat lies at a pier ."]}
    {"image": "b.jpg", "boxes": [{"bbox": [1, 2, 60, 80], "label": "car", "phrase": "a red car"}]}
    {"image": "c.jpg", "question": "how many boats are there?", "answer": "2"}
    {"image": "d.jpg", "class": "harbour", "absent": ["a helicopter"], "split": "val"}

Keys may be combined. Image names are relative to the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry, OfSplit
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_size
from skyeye_edge.training.data.readers.json_files import read_json_lines

_KEYS = ("image", "captions", "boxes", "question", "answer", "class", "absent", "split")
_BOX_KEYS = ("bbox", "label", "phrase")


def read_lines(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """The images with their split; a line without one belongs to "train".

    Raises:
        DataError: a line is wrong.
    """
    folders = ImageFolders((images or file.parent,))
    for entry in read_json_lines(file):
        entry.only(_KEYS)
        name = entry.text("split") if "split" in entry.values else "train"
        yield name, _annotation(entry, folders)


def _annotation(entry: Entry, folders: ImageFolders) -> Annotation:
    values = entry.values
    if not values.keys() & {"captions", "boxes", "question", "class", "absent"}:
        entry.fail('says nothing about the image; add "captions", "boxes", "question" or "class"')
    boxes = entry.objects("boxes") if "boxes" in values else []
    for box in boxes:
        box.only(_BOX_KEYS)
    asked = "question" in values or "answer" in values
    image = folders.find(entry, entry.text("image"))
    size = image_size(image) if boxes else UNKNOWN
    objects = tuple((box.box_in("bbox", size), box.label("label")) for box in boxes)
    phrases = tuple((b.text("phrase"), b.box("bbox")) for b in boxes if "phrase" in b.values)
    absent = entry.texts("absent") if "absent" in values else ()
    there = {words.casefold() for words, _ in phrases}
    there |= {f"{the}{label}".casefold() for _, label in objects for the in ("", "the ", "a ")}
    for words in absent:
        if words.casefold() in there:
            entry.fail(f'"absent" names "{words}", which has a box in this image')
    return Annotation(
        images=(image,),
        captions=entry.texts("captions") if "captions" in values else (),
        objects=objects,
        phrases=phrases,
        absent=absent,
        questions=((entry.text("question"), entry.text("answer")),) if asked else (),
        scene=entry.text("class") if "class" in values else "",
    )
