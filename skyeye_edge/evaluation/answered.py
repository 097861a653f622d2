"""Answers with what would have been right, one JSON object per line: scoring needs no model.

    {"key": "a.jpg#caption", "image": "a.jpg", "task": "caption", "references": ["a boat ."],
     "outcome": "text", "said": "a boat"}
    {"key": "a.jpg#ground:0", "image": "a.jpg", "task": "ground", "asked": "the boat",
     "size": [256, 256], "truth": [[10, 20, 60, 80]],
     "outcome": "found", "boxes": [[9, 21, 60, 78]]}
    {"key": "a.jpg#ask:0", "image": "a.jpg", "task": "ask", "asked": "is there a boat?",
     "type": "presence", "references": ["yes"], "outcome": "text", "said": "yes"}

The first line may be a header, `{"type": "answers", ...}`. Programs other than this one may write
such files too: `key`, `image` and `task` are needed, and what is right: `references` or `truth`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.core.errors import DataError

TaskName = Literal["caption", "ground", "absent", "detect", "ask", "classify", "identify"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
HEADER = "answers"  # type of the first line
UNANSWERED = "unanswered"  # outcome where the model could not be asked: always wrong

_BOXED = ("ground", "detect")  # their right answers are boxes


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its right answer, and what was said; boxes are in pixels of the image."""

    key: str  # image and question; no two answers of a file share it
    image: str  # its name, without the folder: answers about one image are drawn together
    task: TaskName
    asked: str = ""  # phrase, label or question
    kind: str = ""  # type of a question
    references: tuple[str, ...] = ()  # captions, or the right words
    truth: tuple[XYXY, ...] = ()  # right boxes; of Identify, the box that was shown
    size: Size | None = None  # (width, height) of the image; None where it could not be read
    outcome: str = UNANSWERED  # as in results: "text", "found", "absent", "cut", ...
    said: str = ""
    boxes: tuple[XYXY, ...] = ()
    scores: tuple[float, ...] = ()  # of the boxes, 0..1
    problem: str = ""  # why it was not answered

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != len(self.boxes):
            raise DataError(f"{len(self.scores)} scores for {len(self.boxes)} boxes")
        if self.task in _BOXED and not self.truth:
            raise DataError('"truth" holds no box; give [[left, top, right, bottom], ...]')
        if self.task not in (*_BOXED, "absent") and not self.references:
            raise DataError('"references" is empty; give what would have been right')

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        values: dict[str, Any] = {
            "key": self.key,
            "image": self.image,
            "task": self.task,
            "asked": self.asked,
            "type": self.kind,
            "references": list(self.references),
            "truth": [list(box) for box in self.truth],
            "size": list(self.size) if self.size else None,
            "outcome": self.outcome,
            "said": self.said,
            "boxes": [[round(edge, 3) for edge in box] for box in self.boxes],
            "scores": [round(score, 6) for score in self.scores],
            "problem": self.problem,
        }
        return {name: value for name, value in values.items() if value or name == "said"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Answered:
        """The answer that `to_json`, or somebody else, wrote down.

        Raises:
            DataError: something is missing or of another kind; file and line are the reader's.
        """
        task = values.get("task")
        if task not in TASK_NAMES:
            raise DataError(f'"task" is {task!r}; known are {", ".join(TASK_NAMES)}')
        return cls(
            key=_text(values, "key"),
            image=_text(values, "image"),
            task=task,
            asked=_text(values, "asked", ""),
            kind=_text(values, "type", ""),
            references=_texts(values, "references"),
            truth=_boxes(values, "truth"),
            size=_size(values),
            outcome=_text(values, "outcome", "text" if "said" in values else "found"),
            said=_text(values, "said", ""),
            boxes=_boxes(values, "boxes"),
            scores=_numbers(values.get("scores", []), "scores"),
            problem=_text(values, "problem", ""),
        )


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """What a file of answers holds."""

    header: Mapping[str, Any]  # of its run; empty if it has none
    answers: tuple[Answered, ...]
    whole: int  # bytes up to the end of the last whole line


def read_answers(path: Path) -> AnswerFile:
    """Read answers; a last line that was torn off, as a crash leaves it, is passed over.

    Raises:
        DataError: the file is missing, or a line is wrong (file and line are named).
    """
    header: Mapping[str, Any] = {}
    answers: dict[str, Answered] = {}
    whole = 0
    for number, line in enumerate(_lines(path), start=1):
        torn = not line.endswith(b"\n")
        try:
            values = _object(line)
            if number == 1 and values.get("type") == HEADER and "task" not in values:
                header = values
            else:
                answer = Answered.from_json(values)
                if answer.key in answers:
                    raise DataError(f'"key" {answer.key!r} stands there twice')
                answers[answer.key] = answer
        except (DataError, ValueError) as error:
            if torn:
                break
            raise DataError(f"{path}:{number}: {error}") from error
        whole += len(line)
    return AnswerFile(header, tuple(answers.values()), whole)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _object(line: bytes) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise DataError("not an object in braces; give one JSON object per line")
    return values


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise DataError(f'"{key}" is {value!r}; give words in quotes')
    return value


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise DataError(f'"{key}" is {found!r}; give a list of sentences in quotes')
    return tuple(found)


def _boxes(values: Mapping[str, Any], key: str) -> tuple[XYXY, ...]:
    found = values.get(key, [])
    if not isinstance(found, list):
        raise DataError(f'"{key}" is {found!r}; give [[left, top, right, bottom], ...]')
    return tuple(_box(each, key) for each in found)


def _box(value: object, key: str) -> XYXY:
    edges = _numbers(value, key)
    if len(edges) != 4 or edges[0] > edges[2] or edges[1] > edges[3]:
        raise DataError(f'"{key}" has {value!r}; a box is [left, top, right, bottom] in pixels')
    return edges[0], edges[1], edges[2], edges[3]


def _numbers(values: object, key: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(_is_number(each) for each in values):
        raise DataError(f'"{key}" has {values!r}; give finite numbers')
    return tuple(float(each) for each in values)


def _size(values: Mapping[str, Any]) -> Size | None:
    size = values.get("size")
    if size is None:
        return None
    if len(edges := _numbers(size, "size")) != 2 or min(edges) < 1:
        raise DataError(f'"size" is {size!r}; give [width, height] in pixels')
    return int(edges[0]), int(edges[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def answer_lines(answers: Iterable[Answered]) -> Iterator[str]:
    """The lines of a file of answers, each with its end."""
    for answer in answers:
        yield json.dumps(answer.to_json(), ensure_ascii=False) + "\n"
