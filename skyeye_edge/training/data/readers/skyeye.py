"""SkyEye-968k, read as MiniGPT-v2's data sets are: lists of records that say what they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.conversations import annotated, read_turn, read_turns
from skyeye_edge.training.data.readers.entries import (
    UNKNOWN,
    Entry,
    OfSplit,
    files_in,
    is_number,
    split_of,
)
from skyeye_edge.training.data.readers.image_files import image_folders, image_size
from skyeye_edge.training.data.readers.json_files import read_lists
from skyeye_edge.training.data.record import ImageSource
from skyeye_edge.training.data.video_frames import FRAMES, VIDEOS, clip_of

_IMAGE = ("image", "image_id", "video", "video_id", "filename", "file_name", "img_id", "id")
_PHRASE = ("phrase", "expression", "sentence", "ref", "refer")
_BOX = ("bbox", "box", "boxes")


def read_skyeye(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A JSON list, or a folder of them (`caption/`, `vqa/`, `vg/`, `phrasegrounding/`, ...).

    No file of SkyEye-968k was seen. Read is what MiniGPT-v2's data sets read, by the keys of each
    record: `conversations`; `grounded_caption`; `caption` with `output` (boxes of its parts);
    `phrase` with `bbox`, a text in hundredths, or numbers: left, top, right, bottom in pixels;
    `question` and `answer`; `caption`. The image is `image`, `image_id` or `id`, with or without
    its suffix. A list under `annotations` is read as well. The split is in the file's name.

    Raises:
        DataError: a record is wrong.
    """
    folders = image_folders(path, images)
    for file in files_in(path, ".json"):
        for _, entry in read_lists(file, "", "annotations"):
            if entry is not None:
                with entry.guarded():
                    image = folders.find(entry, entry.name(*_IMAGE))
                    split = entry.text("split") if "split" in entry.values else split_of(file)
                    yield split, _annotation(entry, image)


def _annotation(entry: Entry, image: Path) -> Annotation:
    values = entry.values
    video = image.suffix.lower() in VIDEOS
    images: tuple[ImageSource, ...] = clip_of(image, FRAMES) if video else (image,)
    if "conversations" in values:
        return annotated(images, read_turns(entry, partial(image_size, image)))
    phrase = next((key for key in _PHRASE if key in values), "")
    box = next((key for key in _BOX if key in values), "")
    if phrase and box and isinstance(values[box], list):
        return _placed(entry, images, phrase, box)
    asked, answer = "", ""
    if "grounded_caption" in values:
        asked, answer = "[grounding] describe this image", entry.text("grounded_caption")
    elif phrase and box:
        asked, answer = f"[detection] <p>{entry.label(phrase)}</p>", entry.text(box)
    elif "caption" in values and "output" in values:
        asked, answer = f"[detection] {entry.text('caption')}", entry.text("output")
    elif "question" in values:
        asked, answer = f"[vqa] {entry.text('question')}", entry.name("answer")
    if asked:
        return annotated(images, (read_turn(asked, answer, partial(image_size, image), entry),))
    several = isinstance(values.get("caption"), list)
    told = entry.texts("caption") if several else (entry.text("caption"),)
    return Annotation(images, tuple(words.lower() for words in told))


def _placed(entry: Entry, images: tuple[ImageSource, ...], phrase: str, box: str) -> Annotation:
    """An expression with its box, or the only one of a list of boxes, in pixels."""
    value = entry.values[box]
    if len(value) == 1 and not is_number(value[0]):
        entry = Entry(entry.file, entry.line, {**entry.values, box: value[0]}, entry.place)
    size = image_size(images[0]) if isinstance(images[0], Path) else UNKNOWN
    return Annotation(images, phrases=((entry.text(phrase).lower(), entry.box_in(box, size)),))
