"""Conversations about images: LLaVA's and MiniGPT-v2's JSON, whatever set comes in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.results import DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import BOX_MARKS, Ask, Caption, Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.box_text import BoxedText, has_boxes, read_boxed_text
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry, OfSplit, split_of
from skyeye_edge.training.data.readers.image_files import image_folders, image_size
from skyeye_edge.training.data.readers.json_files import read_array, read_json_lines
from skyeye_edge.training.data.record import ImageSource, Turn

_USERS = ("human", "user")
_MODELS = ("gpt", "assistant", "model")
_TAG = re.compile(r"\[(caption|vqa|refer|identify|grounding|detection)\]\s*")
_SLOT = re.compile(r"<Img>\s*<ImageHere>\s*</Img>|</?image>|<video>", re.IGNORECASE)
_MARKED = re.compile(r"<p>\s*(.*?)\s*</p>")
# How MiniGPT-v2 and GeoChat ask for a place; what is left is the phrase.
_ASKS_PLACE = re.compile(
    r"^(?:from this image, tell me |could you tell me |can you tell me |please )?"
    r"(?:give me |tell me )?"
    r"(?:the location (?:of|for)|where is|where are|where can i (?:locate|find)|locate)?"
    r"\s*(.*?)(?: is located| is)?\s*[?.]?$",
    re.IGNORECASE,
)
_SHORT_ANSWER = re.compile(
    r"^based on the image, respond to this question with a short answer:\s*", re.IGNORECASE
)


def read_conversations(file: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A JSON list, or JSON Lines, of `id`, `image` and `conversations[]` of `from` and `value`.

    LLaVA's layout: GeoChat, RS-GPT4V, VRSBench's training file, SkySenseGPT. Where `image` is
    missing `id` names it, as in MiniGPT-v2's conversations; SkyEye-968k's files were not seen, and
    are read so. Of RS-GPT4V and SkyEye-968k no file was seen.

    Boxes in texts (`{<x1><y1><x2><y2>}`, with `|<angle>`, or lists of shares) become boxes in
    pixels, which a model of any box language writes in its own. An answer to `[caption]`, `[vqa]`
    or `[refer]` alone is a caption, a question or a phrase of the image, as in other sets; all else
    stays a conversation in its order. The split is `split`, or what the file is called.

    Raises:
        DataError: a record is wrong.
    """
    folders = image_folders(file, images)
    sizes: dict[Path, Size] = {}  # an image has many conversations in some sets
    for entry in read_json_lines(file) if file.suffix == ".jsonl" else read_array(file):
        with entry.guarded():
            several = isinstance(entry.values.get("image"), list)
            names = entry.texts("image") if several else (entry.name("image", "id"),)
            paths = tuple(folders.find(entry, name) for name in names)
            turns = read_turns(entry, partial(_size, paths[0], sizes))
            split = entry.text("split") if "split" in entry.values else split_of(file)
            yield split, annotated(paths, turns)


def annotated(images: tuple[ImageSource, ...], turns: tuple[Turn, ...]) -> Annotation:
    """A single plain turn as what other sets know of an image; else the conversation."""
    if len(turns) == 1:
        match turns[0].task, turns[0].target:
            case Caption(), TextResult(text=words, phrases=()):
                return Annotation(images, captions=(words,))
            case Ask(question=question), TextResult(text=words, phrases=()):
                return Annotation(images, questions=((question, words),))
            case Ground(phrase=phrase), GroundResult(boxes=(box,)) if not box.angle:
                return Annotation(images, phrases=((phrase, box.xyxy),))
    return Annotation(images, conversations=(turns,))


def read_turns(entry: Entry, size: Callable[[], Size]) -> tuple[Turn, ...]:
    """The questions and answers under "conversations".

    Args:
        entry: a record with texts of `from` and `value`.
        size: looks up (width, height) of the image, if boxes need it.

    Raises:
        DataError: they do not alternate, one is empty, or a box is wrong.
    """
    said = entry.objects("conversations")
    if not said or len(said) % 2:
        entry.fail(f'"conversations" has {len(said)} texts; give a question and an answer each')
    turns = []
    for question, answer in zip(said[0::2], said[1::2], strict=True):
        speakers = question.text("from").lower(), answer.text("from").lower()
        if speakers[0] not in _USERS or speakers[1] not in _MODELS:
            question.fail('"from" is not human and gpt (or user and assistant) in turn')
        asked = " ".join(_SLOT.sub(" ", question.text("value")).split())
        if not asked:
            question.fail('"value" is nothing but an image; give a question')
        told = answer.text("value")
        turns.append(read_turn(asked, told, size, question))
    return tuple(turns)


def read_turn(asked: str, told: str, size: Callable[[], Size], entry: Entry) -> Turn:
    """A question and its answer as the task that it is, else as an instruction as it stands.

    Args:
        asked: with or without its task identifier.
        told: the answer.
        size: looks up (width, height) of the image, if boxes need it.
        entry: where they stand.

    Raises:
        DataError: a box is wrong.
    """
    tag = _TAG.match(asked)
    needed = size() if has_boxes(asked) or has_boxes(told) else UNKNOWN
    words = read_boxed_text(asked[tag.end() :] if tag else asked, needed, entry)
    answer = read_boxed_text(told, needed, entry)
    match tag and tag[1]:
        case "refer" | "detection" if answer.boxes and answer.bare and not words.boxes:
            marked = _MARKED.search(asked)
            phrase = marked[1] if marked else _phrase(words.words)
            if phrase and not any(mark in phrase for mark in BOX_MARKS):
                return _place(phrase, answer, one=tag is not None and tag[1] == "refer")
        case "identify" if len(words.boxes) == 1 and not answer.boxes:
            box = words.boxes[0].hull
            return Turn(Identify(box), TextResult("identify", "text", answer.words, box=box))
        case "caption" if not words.boxes:
            return Turn(Caption(), _text("caption", answer))
        case "grounding" if not words.boxes:
            return Turn(Describe(boxes=True), _text("describe", answer))
        case "vqa" if not words.boxes:
            question = _SHORT_ANSWER.sub("", words.words)
            return Turn(Ask(question), _text("ask", answer, question))
    instruction = f"{tag[0] if tag else ''}{words.words}"
    return Turn(instruction, _text("ask", answer, instruction), words.boxes)


def _place(phrase: str, answer: BoxedText, *, one: bool) -> Turn:
    if one and len(answer.boxes) == 1:
        return Turn(Ground(phrase), GroundResult(phrase, "found", answer.boxes))
    return Turn(Detect(phrase), DetectResult(phrase, "found", answer.boxes))


def _phrase(words: str) -> str:
    found = _ASKS_PLACE.match(words)
    return found[1] if found else words


def _text(task: str, answer: BoxedText, question: str = "") -> TextResult:
    return TextResult(task, "text", answer.words, question=question, phrases=answer.groups)  # type: ignore[arg-type]


def _size(image: Path, known: dict[Path, Size]) -> Size:
    """Of an image, looked up when it is first needed."""
    if image not in known:
        known[image] = image_size(image)
    return known[image]
