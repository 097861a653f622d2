"""The words alone, one line per answer: for reading, searching, and training on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.runtime.sinks.cues import answer_lines


def lines(events: Iterable[Event]) -> Iterator[str]:
    """One line per answer, empty where there are no words: line N belongs to answer N."""
    for event in events:
        if isinstance(event, AnswerEvent) and event.frames:
            yield " | ".join(" ".join(line.split()) for line in answer_lines(event.results)) + "\n"
