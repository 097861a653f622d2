"""Our own format: JSON Lines, one object per image, written by hand or by a short script.

    {"image": "a.jpg", "captions": ["a boat lies at a pier ."]}
    {"image": "b.jpg", "boxes": [{"bbox": [1, 2, 60, 80], "label": "car", "phrase": "a red car"}]}
    {"image": "c.jpg", "question": "how many boats are there?", "answer": "2"}
    {"image": "d.jpg", "class": "harbour", "absent": ["a helicopter"], "split": "val"}
    {"image": "d.jpg", "conversations": [[{"from": "human", "value": "where is the boat?"},
                                          {"from": "gpt", "value": "[0.10, 0.20, 0.40, 0.30]"}]]}
    {"image": "e.mp4", "frames": 4, "questions": [{"question": "how many?", "answer": "2"}]}

Keys may be combined. Image names are relative to the file. A box with a label belongs to objects
of which every one has a box; one with a phrase alone says nothing of others. `images` makes a clip
of several files, `frames` one of a video: how many, or which shares of its length. Labels that are
`unsure` are neither counted nor called absent; `upright` says that the picture has an above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.readers.conversations import read_turns
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry, OfSplit, is_number
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_size
from skyeye_edge.training.data.readers.json_files import read_json_lines
from skyeye_edge.training.data.record import ImageSource, Turn
from skyeye_edge.training.data.video_frames import VideoFrame, clip_of

_KEYS = (
    *("image", "images", "frames", "captions", "boxes", "question", "answer", "questions"),
    *("class", "absent", "unsure", "upright", "split", "conversations"),
)
_SAYS = ("captions", "boxes", "question", "questions", "class", "absent", "conversations")
_SIZED = {"boxes", "conversations"}  # may hold boxes
_BOX_KEYS = ("bbox", "label", "phrase")


def read_lines(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """The images with their split; a line without one belongs to "train".

    Raises:
        DataError: a line is wrong.
    """
    folders = ImageFolders((images or file.parent,))
    for entry in read_json_lines(file):
        with entry.guarded():
            entry.only(_KEYS)
            name = entry.text("split") if "split" in entry.values else "train"
            yield name, _annotation(entry, folders)


def _annotation(entry: Entry, folders: ImageFolders) -> Annotation:
    values = entry.values
    if not values.keys() & set(_SAYS):
        entry.fail('says nothing about the image; add "captions", "boxes", "question" or "class"')
    boxes = entry.objects("boxes") if "boxes" in values else []
    for box in boxes:
        box.only(_BOX_KEYS)
    images = tuple(_images(entry, folders))
    one = images[0] if len(images) == 1 else None
    if boxes and not isinstance(one, Path):
        entry.fail('"boxes" are of one image, not of a clip')
    sized = one if isinstance(one, Path) and _SIZED & values.keys() else None
    size = image_size(sized) if sized else UNKNOWN
    objects = [(b.box_in("bbox", size), b.label("label")) for b in boxes if "label" in b.values]
    phrases = [(b.text("phrase"), b.box_in("bbox", size)) for b in boxes if "phrase" in b.values]
    for box in boxes:
        if not box.values.keys() & {"label", "phrase"}:
            box.fail('"label" is missing; give it, or a "phrase" that means this box alone')
    asked = list(_questions(entry))
    absent = entry.texts("absent") if "absent" in values else ()
    _refuse_both(entry, absent, objects, phrases)
    return Annotation(
        images=images,
        captions=entry.texts("captions") if "captions" in values else (),
        objects=tuple(objects),
        phrases=tuple(phrases),
        absent=absent,
        questions=tuple((question, answer) for question, answer, _ in asked),
        question_types=tuple(kind for *_, kind in asked) if any(k for *_, k in asked) else (),
        conversations=tuple(_conversations(entry, size)),
        scene=entry.text("class") if "class" in values else "",
        cut=frozenset(entry.texts("unsure") if "unsure" in values else ()),
        upright=values.get("upright") is True,
    )


def _images(entry: Entry, folders: ImageFolders) -> Iterator[ImageSource]:
    """One image, the images of a clip, or `frames` of a video."""
    if "images" in entry.values:
        yield from (folders.find(entry, name) for name in entry.texts("images"))
        return
    image = folders.find(entry, entry.text("image"))
    frames = entry.values.get("frames")
    if frames is None:
        yield image
    elif isinstance(frames, list) and all(is_number(each) and 0 <= each < 1 for each in frames):
        yield from (VideoFrame(image, share) for share in frames)
    elif (number := entry.whole("frames")) > 0:
        yield from clip_of(image, number)
    else:
        entry.fail('"frames" is a number from 1 up, or a list of shares of the length, 0 to 1')


def _conversations(entry: Entry, size: Size) -> Iterator[tuple[Turn, ...]]:
    """As `readers/conversations.py` has them, each a list of texts."""
    found = entry.values.get("conversations", [])
    if not isinstance(found, list) or not all(isinstance(each, list) for each in found):
        entry.fail('"conversations" is a list of lists: [[{"from": "human", "value": ...}, ...]]')
    for each in found:
        one = Entry(entry.file, entry.line, {"conversations": each}, entry.place)
        yield read_turns(one, lambda: size)


def _questions(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Question, answer and type, which is "" where none is said."""
    if "question" in entry.values or "answer" in entry.values:
        yield entry.text("question"), entry.text("answer"), ""
    for each in entry.objects("questions") if "questions" in entry.values else ():
        each.only(("question", "answer", "type"))
        kind = each.text("type") if "type" in each.values else ""
        yield each.text("question"), each.text("answer"), kind


def _refuse_both(
    entry: Entry,
    absent: Sequence[str],
    objects: Sequence[Object],
    phrases: Sequence[tuple[str, XYXY]],
) -> None:
    """Complain about words that are said to be there and not to be there."""
    there = {words.casefold() for words, _ in phrases}
    there |= {f"{the}{label}".casefold() for _, label in objects for the in ("", "the ", "a ")}
    for words in absent:
        if words.casefold() in there:
            entry.fail(f'"absent" names "{words}", which has a box in this image')
