"""Replies to typed answers, and typed answers to the text that training learns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from skyeye_edge.core.box_languages import CORNERS, BoxLanguage
from skyeye_edge.core.boxes import (
    XYXY,
    Box,
    BoxSpec,
    Size,
    box_pixels,
    box_text,
    is_box,
    parse_boxes,
    read_box,
)
from skyeye_edge.core.json_types import BoxOutcome, TextOutcome, TextTask
from skyeye_edge.core.reply import Reply, Stopped
from skyeye_edge.core.results import (
    PLACE,
    ClassifyResult,
    DetectResult,
    GroundResult,
    NamedBoxes,
    TaskResult,
    TextResult,
)
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify, Task


def format_answer(result: TaskResult, size: Size, boxes: BoxSpec) -> str:
    """The text by which a model says `result`; what training learns and chat remembers."""
    match result:
        case TextResult(text=text, phrases=phrases):
            return _with_boxes(text, phrases, size, boxes)
        case ClassifyResult():
            return result.label
        case GroundResult(boxes=found):
            return _written(found[0], size, boxes) if found else boxes.absent
        case DetectResult(name=name, boxes=found):
            if not found:
                return boxes.absent
            return boxes.language.heading.format(name) + _joined(found, size, boxes)


def _with_boxes(text: str, phrases: NamedBoxes, size: Size, boxes: BoxSpec) -> str:
    """A text with the boxes of its phrases behind their words, each where it first occurs."""
    written = ""
    for phrase, found in phrases:
        before, words, after = text.partition(phrase or PLACE)
        if words and found:
            heading = boxes.language.heading.format(phrase) or f"{phrase} "
            written += before + (heading if phrase else "") + _joined(found, size, boxes)
            text = after
    return written + text


def _joined(found: Sequence[Box], size: Size, boxes: BoxSpec) -> str:
    return boxes.language.again.join(_written(box, size, boxes) for box in found)


def _written(box: Box, size: Size, boxes: BoxSpec) -> str:
    return box_text(box.xyxy, size, boxes, box.angle)


_AS_IT_IS = ScoreSpec()


def parse_reply(
    task: Task, reply: Reply, size: Size, boxes: BoxSpec, scores: ScoreSpec = _AS_IT_IS
) -> TaskResult:
    """The typed answer to `task` in what the language model wrote.

    Args:
        task: what was asked.
        reply: the generated tokens; decoded freely or under the task's automaton.
        size: (width, height) in pixels of the frame that boxes are given in.
        boxes: how the model writes boxes, and that nothing is there.
        scores: what scores of boxes mean, and from which one on a box counts, unless a task states
            another.
    """
    return replace(_read_answer(task, reply, size, boxes, scores), size=size)


def _read_answer(
    task: Task, reply: Reply, size: Size, boxes: BoxSpec, scores: ScoreSpec
) -> TaskResult:
    text, tokens, stopped = reply.text.strip(), reply.ids, reply.stopped
    match task:
        case Ground(phrase=phrase):
            read = _read_boxes(reply, "", size, boxes, scores, many=False)
            outcome, found, score = _counted(read, task.min_score, scores)
            return GroundResult(phrase, outcome, found, text, tokens, stopped, score)
        case Detect(name=name):
            heading = boxes.language.heading.format(name).rstrip()
            read = _read_boxes(reply, heading, size, boxes, scores, many=True)
            outcome, found, score = _counted(read, task.min_score, scores)
            return DetectResult(name, outcome, found, text, tokens, stopped, score)
        case Classify(names=names, question=question):
            label = _label(text, names) if stopped == "end" else ""
            said = "text" if label else _wordless(stopped)
            score = _text_score(reply)
            if label and reply.presence is not None:  # of two answers, that of the first
                score = reply.presence if label == names[0] else 1 - reply.presence
            return ClassifyResult(label, said, text, tokens, stopped, score, question=question)
        case Caption():
            return _words("caption", reply, size, boxes, scores)
        case Describe():
            return _words("describe", reply, size, boxes, scores, with_boxes=task.boxes)
        case Identify(box=box):
            return _words("identify", reply, size, boxes, scores, box=box)
        case Ask(question=question):
            return _words("ask", reply, size, boxes, scores, question=question)


def _words(
    task: TextTask,
    reply: Reply,
    size: Size,
    boxes: BoxSpec,
    scores: ScoreSpec,
    *,
    with_boxes: bool = False,
    question: str = "",
    box: XYXY | None = None,
) -> TextResult:
    """Free text: whatever was asked, a model may put boxes into it, which are no words.

    An answer to another task than Describe(boxes=True) that is nothing but phrases with boxes is
    none: the model has answered what was not asked.
    """
    line, language = _line(reply), boxes.language
    rest = language.box.sub("", line.rstrip())
    broken = reply.stopped == "end" and language.begun.search(rest)
    readable = not broken and all(is_box(bins, boxes) for bins in parse_boxes(line, boxes).corners)
    phrases = _phrases(reply, line, size, boxes, scores) if readable else ()
    text = _plain(reply.text, language)
    unboxed = language.phrase.sub(" ", reply.text)
    if phrases and not with_boxes and not re.search(r"\w", _plain(unboxed, language)):
        text = ""
    said: TextOutcome = "text"
    if reply.stopped == "length" or not text or not readable:
        said = _wordless(reply.stopped)
    return TextResult(
        task, said, text, question, box, phrases, reply.ids, reply.stopped, _text_score(reply)
    )


def _phrases(
    reply: Reply, line: str, size: Size, boxes: BoxSpec, scores: ScoreSpec
) -> tuple[tuple[str, tuple[Box, ...]], ...]:
    phrases = []
    for found in boxes.language.phrase.finditer(line):
        phrase = found[1].encode("latin-1").decode("utf-8", "replace").strip()
        places = _boxes_in(reply, line, *found.span(2), size, boxes, scores)
        phrases.append((phrase, tuple(box for box in places if box.score >= scores.min_score)))
    return tuple(phrases)


def _plain(text: str, language: BoxLanguage) -> str:
    """The words of a text; one without marks stays as it is, but for the space around it."""
    words = language.scraps.sub(" ", text)
    if words == text:
        return text.strip()
    return re.sub(r" ([.,;:!?])", r"\1", " ".join(words.split()))


def _wordless(stopped: Stopped) -> TextOutcome:
    return "failed" if stopped == "failed" else "cut" if stopped == "length" else "unreadable"


def _label(text: str, names: Sequence[str]) -> str:
    """The name that was said, also where a model that may write freely adds a capital or a stop."""
    said = (text.casefold(), text.rstrip(".").casefold())
    alike = [name for name in names if name.strip().casefold() in said]
    exact = [name for name in alike if name.strip() == text]
    return (exact or alike or [""])[0]


_Read = tuple[BoxOutcome, tuple[Box, ...], float]


def _counted(read: _Read, asked: float | None, scores: ScoreSpec) -> _Read:
    """Without the boxes that are too uncertain; the score stays, so that users see how close."""
    outcome, boxes, score = read
    least = scores.min_score if asked is None else asked
    kept = tuple(box for box in boxes if box.score >= least)
    if boxes and not kept and outcome == "found":
        outcome = "uncertain"
    return outcome, kept, score


def _read_boxes(
    reply: Reply, heading: str, size: Size, boxes: BoxSpec, scores: ScoreSpec, *, many: bool
) -> _Read:
    if reply.stopped == "failed":
        return "failed", (), 0.0
    if boxes.absent and reply.text.strip() == boxes.absent:
        return "absent", (), _text_score(reply) if reply.presence is None else 1 - reply.presence
    line = _line(reply)
    body = _after(line, heading.encode().decode("latin-1"))
    first = boxes.language.box.search(line, body)
    # Whatever follows the one box that was asked for is no matter.
    end = first.end() if first and not many else len(line)
    parsed = parse_boxes(line[body:end], boxes)
    if not all(is_box(bins, boxes) for bins in parsed.corners):
        return "unreadable", (), _text_score(reply)
    found = tuple(_boxes_in(reply, line, body, end, size, boxes, scores))
    score = max((box.score for box in found), default=_text_score(reply))
    if reply.stopped == "length" and (many or not found):
        return "cut", found, score
    if not found or not parsed.complete:
        return "unreadable", (), score
    return "found", found, score


def _line(reply: Reply) -> str:
    """The answer with one character per byte, so that places in it are places in the pieces."""
    return b"".join(reply.pieces).decode("latin-1")


def _after(line: str, heading: str) -> int:
    """Where the boxes begin: the known name is skipped by its length, whatever it looks like."""
    start = len(line) - len(line.lstrip())
    return start + len(heading) if line.startswith(heading, start) else start


def _boxes_in(
    reply: Reply,
    line: str,
    start: int,
    end: int,
    size: Size,
    boxes: BoxSpec,
    scores: ScoreSpec,
) -> list[Box]:
    found = []
    for match in boxes.language.box.finditer(line, start, end):
        bins, angle = read_box(match, boxes)
        score = scores.calibrated(_raw_score(reply, match))
        found.append(Box(box_pixels(bins, size, boxes, angle), score, angle=angle))
    return found


def _raw_score(reply: Reply, match: re.Match[str]) -> float:
    """How probable the model finds it that something is there, and that its edges are right.

    The presence, times the geometric mean of the four edges' probabilities to one bin. A token that
    writes the last digit of an edge counts with its neighbours, others alone: where numbers are
    written digit by digit, 59 and 60 are no neighbours. (The plain product of the edges tells right
    boxes from wrong ones as well, but is near 0 for all: without a table, skyeye-tiny's expected
    calibration error on synthetic scenes was 0.39 with it, and is 0.13.)
    """
    # The mark behind a number belongs to it: it says that no further digit follows.
    spans = [(match.start(edge), match.end(edge) + 1) for edge in range(1, CORNERS + 1)]
    edges, place = 1.0, 0
    for number, piece in enumerate(reply.pieces):
        after = place + len(piece)
        if reply.free[number] and any(place < last and first < after for first, last in spans):
            ends = reply.nearby and any(place <= last - 2 < after for _, last in spans)
            edges *= (reply.nearby if ends else reply.probabilities)[number]
        place = after
    presence = 1.0 if reply.presence is None else reply.presence
    return min(1.0, presence * float(edges ** (1 / CORNERS)))


def _text_score(reply: Reply) -> float:
    """Mean probability of the tokens that were chosen; 1.0 if none was free."""
    chosen = [p for p, free in zip(reply.probabilities, reply.free, strict=True) if free]
    return sum(chosen) / len(chosen) if chosen else 1.0
