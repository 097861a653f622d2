"""A function of the program itself as a sink."""

from __future__ import annotations

from collections.abc import Callable

from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame


class CallbackSink:
    """Calls `function(event, frame)` for each event, in a thread of its own.

    What the function raises costs it this event, and is told of; the next one comes all the same.
    """

    def __init__(self, function: Callable[[Event, Frame | None], object]) -> None:
        self._function = function
        self.name = f"callback {getattr(function, '__qualname__', type(function).__name__)}"

    def write(self, event: Event, frame: Frame | None) -> None:
        """Call it."""
        self._function(event, frame)

    def close(self) -> None:
        """Nothing is left to do."""
