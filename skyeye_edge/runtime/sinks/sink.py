"""What a sink is: a place where events go, such as a file, a broker or a callback."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame


@runtime_checkable
class Sink(Protocol):
    """Takes events; `Fan` calls it in a thread of its own, so it may take its time.

    A sink may say more about itself by attributes, which `Fan` reads when it gets the sink:

        wants_frames: bool = True  # False: it is never given a picture, and keeps none in memory
        only_frames: bool = False  # True: it is given nothing but events with their picture
        spool: int = 0  # so many events wait while `write` fails, and are tried again
        keeps_all: bool = False  # it is a record: a lost event is a failure of the whole run
        unsent: int = 0  # after `close`: events that `write` took and that went nowhere
    """

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
            OSError, SkyEyeError: nothing of this event was written. It is lost, or tried again if
                the sink has a `spool`; what comes next is tried in any case.
        """
        ...

    def close(self) -> None:
        """Write what is left, and give everything back."""
        ...
