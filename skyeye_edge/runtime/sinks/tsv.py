"""A table for spreadsheets: one row per text, and one per box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.results import DetectResult, GroundResult, TaskResult, TextResult

COLUMNS = (
    "source", "time", "frame", "task", "asked", "outcome", "text", "score",
    "left", "top", "right", "bottom",
)  # fmt: skip


def rows(events: Iterable[Event]) -> Iterator[str]:
    """The head, then the rows of every answer in order; times in seconds, boxes in pixels."""
    yield _row(COLUMNS)
    for event in events:
        if isinstance(event, AnswerEvent) and event.frames:
            for result in event.results:
                for values in _result_rows(result):
                    yield _row((event.source, f"{event.time:.3f}", event.frames[-1], *values))


def _result_rows(result: TaskResult) -> Iterator[tuple[object, ...]]:
    """One row per box; a result without boxes has a row of its own."""
    match result:
        case TextResult(task=task, question=question):
            asked = None if result.box is None else Box(result.box)  # of Identify
            yield task, question, result.outcome, result.text, _score(result.score), *_edges(asked)
            for phrase, boxes in result.phrases:
                for box in boxes:
                    yield task, phrase, "found", phrase, _score(box.score), *_edges(box)
        case GroundResult(phrase=name, boxes=boxes) | DetectResult(name=name, boxes=boxes):
            kind = "ground" if isinstance(result, GroundResult) else "detect"
            for box in boxes:
                yield kind, name, result.outcome, "", _score(box.score), *_edges(box)
            if not boxes:
                yield kind, name, result.outcome, "", _score(result.score), *_edges(None)
        case _:
            yield (
                "classify",
                result.question,
                result.outcome,
                result.label,
                _score(result.score),
                *_edges(None),
            )


def _score(score: float) -> str:
    return f"{score:.3f}"


def _edges(box: Box | None) -> tuple[str, ...]:
    """Of a turned box those of the upright one around it: the table has no angle."""
    return ("",) * 4 if box is None else tuple(f"{edge:.1f}" for edge in box.hull)


def _row(values: Iterable[object]) -> str:
    # a tab or line end within a text would break the table
    return "\t".join(" ".join(str(value).split()) for value in values) + "\n"
