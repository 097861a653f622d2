"""Answers as subtitle cues: each lasts until the next answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skyeye_edge.core.events import AnswerEvent, Event, StateEvent
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)

LONGEST = 10.0  # seconds that a cue lasts if nothing says when the video ends


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines on the screen from `start` to `end`, media seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def build_cues(events: Iterable[Event]) -> Iterator[Cue]:
    """Cues of a recording, in order; an answer without words has none."""
    start = 0.0
    lines: tuple[str, ...] = ()
    for event in events:
        match event:
            case AnswerEvent(frames=()):  # a heartbeat: what stands there goes on to hold
                pass
            case AnswerEvent():
                yield from _until(start, event.time, lines)
                start, lines = max(start, event.time), answer_lines(event.results)
            case StateEvent(state="ENDED"):
                yield from _until(start, event.time, lines)
                lines = ()
            case _:
                pass
    yield from _until(start, start + LONGEST, lines)


def _until(start: float, end: float, lines: tuple[str, ...]) -> Iterator[Cue]:
    if lines:
        yield Cue(start, max(end, start + 0.001), lines)


def answer_lines(results: tuple[TaskResult, ...]) -> tuple[str, ...]:
    """What people read: texts first, a line each; below them one line of the phrases."""
    texts = [line for result in results if (line := _text(result))]
    phrases = [line for result in results if (line := _phrase(result))]
    return (*texts, *([" | ".join(phrases)] if phrases else []))


def _text(result: TaskResult) -> str:
    match result:
        case TextResult(task="ask"):
            return f"{result.question} {result.text}".strip()
        case TextResult():
            return " ".join(result.text.split())
        case ClassifyResult():
            return result.words()
        case _:
            return ""


def _phrase(result: TaskResult) -> str:
    match result:
        case GroundResult():
            return f"{result.phrase}: {_found(result)}"
        case DetectResult():
            return f"{result.name}: {_found(result)}"
        case _:
            return ""


def _found(result: GroundResult | DetectResult) -> str:
    if isinstance(result, DetectResult) and result.found:
        return str(len(result.boxes))
    return f"found ({result.score:.2f})" if result.found else result.outcome


def clock(seconds: float, mark: str) -> str:
    """`HH:MM:SS.mmm`, with `mark` before the milliseconds."""
    whole, milliseconds = divmod(round(max(0.0, seconds) * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{milliseconds:03}"
