"""A file of its own for each source, of formats that cannot hold two."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.sink import Sink


class PerSource:
    """Hands each event to the sink of its source, which is opened when it is first heard of.

    Args:
        first: of the first source; opened by the caller, so that a wrong path is told at once.
        open_next: gives the sink of a further source, by its name.
    """

    def __init__(self, first: Sink, open_next: Callable[[str], Sink]) -> None:
        self.name = first.name
        self.wants_frames = bool(getattr(first, "wants_frames", True))
        self.only_frames = bool(getattr(first, "only_frames", False))
        self.spool = int(getattr(first, "spool", 0))
        self.keeps_all = bool(getattr(first, "keeps_all", False))
        self._first = first
        self._open_next = open_next
        self._sinks: dict[str, Sink] = {}

    def write(self, event: Event, frame: Frame | None) -> None:
        """Hand an event on; raises what the sink raises."""
        sink = self._sinks.get(event.source)
        if sink is None:
            sink = self._open_next(event.source) if self._sinks else self._first
            self._sinks[event.source] = sink
        sink.write(event, frame)

    def close(self) -> None:
        """Close all."""
        with ExitStack() as stack:
            for sink in self._sinks.values() or (self._first,):
                stack.enter_context(closing(sink))
