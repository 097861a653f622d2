"""What a sink is: a place where events go, such as a file, a broker or a callback."""

from __future__ import annotations

from typing import Protocol

from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame


class Sink(Protocol):
    """Takes events; `Fan` calls it in a thread of its own, so it may take its time."""

    @property
    def name(self) -> str:
        """For people; free of credentials."""
        ...

    def write(self, event: Event, frame: Frame | None) -> None:
        """Take one event, in order.

        Args:
            event: what was said.
            frame: the picture that an answer is about; None for what is about no picture.

        Raises:
            OSError, SkyEyeError: this event is lost; the next one is tried.
        """
        ...

    def close(self) -> None:
        """Write what is left, and give everything back."""
        ...
