"""Replies to typed answers, and typed answers to the text that training learns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from skyeye_edge.core.boxes import (
    BOX_TEXT,
    XYXY,
    Box,
    BoxSpec,
    Size,
    box_pixels,
    box_text,
    is_box,
    parse_boxes,
)
from skyeye_edge.core.json_types import BoxOutcome, TextOutcome, TextTask
from skyeye_edge.core.reply import Reply, Stopped
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify, Task


def format_answer(result: TaskResult, size: Size, boxes: BoxSpec) -> str:
    """The text by which a model says `result`; what training learns and chat remembers."""
    match result:
        case TextResult():
            return result.text
        case ClassifyResult():
            return result.label
        case GroundResult(boxes=found):
            return box_text(found[0].xyxy, size, boxes) if found else boxes.absent
        case DetectResult(name=name, boxes=found):
            if not found:
                return boxes.absent
            return f"<p>{name}</p> " + "<delim>".join(box_text(b.xyxy, size, boxes) for b in found)


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
            read = _read_boxes(reply, f"<p>{name}</p>", size, boxes, scores, many=True)
            outcome, found, score = _counted(read, task.min_score, scores)
            return DetectResult(name, outcome, found, text, tokens, stopped, score)
        case Classify(names=names):
            label = _label(text, names) if stopped == "end" else ""
            said = "text" if label else _wordless(stopped)
            return ClassifyResult(label, said, text, tokens, stopped, _text_score(reply))
        case Caption():
            return _words("caption", reply, size, boxes, scores)
        case Describe():
            return _words("describe", reply, size, boxes, scores, with_boxes=task.boxes)
        case Identify(box=box):
            return _words("identify", reply, size, boxes, scores, box=box)
        case Ask(question=question):
            return _words("ask", reply, size, boxes, scores, question=question)


_PHRASE = re.compile(rf"<p>(.*?)</p> ?({BOX_TEXT.pattern}(?:<delim>{BOX_TEXT.pattern})*)")
_MARKS = re.compile(
    r"\{?(?:<[0-9]{1,4}>)+\}?|</?p>|<delim>"  # whole ones, of broken boxes too
    r"|\{<?[0-9]*$|<(?:[0-9]{1,4}|/?p?|d[elim]{0,4})$"  # and one that the token limit broke off
)
_BEGUN = re.compile(r"\{(<|$)")  # other braces are words


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
    line = _line(reply)
    broken = reply.stopped == "end" and _BEGUN.search(BOX_TEXT.sub("", line.rstrip()))
    readable = not broken and all(is_box(bins, boxes) for bins in parse_boxes(line).corners)
    phrases = _phrases(reply, line, size, boxes, scores) if readable else ()
    text = _plain(reply.text)
    if phrases and not with_boxes and not re.search(r"\w", _plain(_PHRASE.sub(" ", reply.text))):
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
    for found in _PHRASE.finditer(line):
        phrase = found[1].encode("latin-1").decode("utf-8", "replace").strip()
        places = _boxes_in(reply, line, *found.span(2), size, boxes, scores)
        phrases.append((phrase, tuple(box for box in places if box.score >= scores.min_score)))
    return tuple(phrases)


def _plain(text: str) -> str:
    """The words of a text; one without marks stays as it is, but for the space around it."""
    words = _MARKS.sub(" ", text)
    if words == text:
        return text.strip()
    return re.sub(r" ([.,;:!?])", r"\1", " ".join(words.split()))


def _wordless(stopped: Stopped) -> TextOutcome:
    return "cut" if stopped == "length" else "unreadable"


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
    if boxes.absent and reply.text.strip() == boxes.absent:
        return "absent", (), _text_score(reply) if reply.presence is None else 1 - reply.presence
    line = _line(reply)
    body = _after(line, heading.encode().decode("latin-1"))
    first = BOX_TEXT.search(line, body)
    # Whatever follows the one box that was asked for is no matter.
    end = first.end() if first and not many else len(line)
    parsed = parse_boxes(line[body:end])
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
    for match in BOX_TEXT.finditer(line, start, end):
        x1, y1, x2, y2 = (int(digits) for digits in match.groups())
        score = scores.calibrated(_raw_score(reply, line, match.start(), match.end()))
        found.append(Box(box_pixels((x1, y1, x2, y2), size, boxes), score))
    return found


_COORDINATE = re.compile(r"[0-9]+>")  # the `>` says that no further digit follows


EDGES = 4


def _raw_score(reply: Reply, line: str, start: int, end: int) -> float:
    """How probable the model finds it that something is there, and that its edges are right.

    The presence, times the geometric mean of the four edges' probabilities to one bin. A token that
    writes the last digit of an edge counts with its neighbours, others alone: where numbers are
    written digit by digit, 59 and 60 are no neighbours. (The plain product of the edges tells right
    boxes from wrong ones as well, but is near 0 for all: without a table, skyeye-tiny's expected
    calibration error on synthetic scenes was 0.39 with it, and is 0.13.)
    """
    spans = [found.span() for found in _COORDINATE.finditer(line, start, end)]
    edges, place = 1.0, 0
    for number, piece in enumerate(reply.pieces):
        after = place + len(piece)
        if reply.free[number] and any(place < last and first < after for first, last in spans):
            ends = reply.nearby and any(place <= last - 2 < after for _, last in spans)
            edges *= (reply.nearby if ends else reply.probabilities)[number]
        place = after
    presence = 1.0 if reply.presence is None else reply.presence
    return min(1.0, presence * float(edges ** (1 / EDGES)))


def _text_score(reply: Reply) -> float:
    """Mean probability of the tokens that were chosen; 1.0 if none was free."""
    chosen = [p for p, free in zip(reply.probabilities, reply.free, strict=True) if free]
    return sum(chosen) / len(chosen) if chosen else 1.0
