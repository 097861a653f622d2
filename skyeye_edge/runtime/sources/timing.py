"""When frames are, and which of them are due."""

from __future__ import annotations

import math

from skyeye_edge.core.errors import InputError

TOLERANCE = 1e-6  # seconds; a time stamp of 0.9999999 is the one of second 1


def check_every(every: float) -> None:
    """Refuse an interval that is no duration; raises InputError."""
    if not 0 <= every < math.inf:
        raise InputError(f"every {every}: give seconds between answers, 0 for every frame")


class Sampler:
    """Chooses the first frame in each interval of `every` seconds, counted from the first."""

    def __init__(self, every: float) -> None:
        check_every(every)
        self._every = every
        self._first = math.nan
        self._slot = -1

    def is_due(self, time: float) -> bool:
        """Whether the frame at `time` (media seconds) is wanted; to be asked once per frame."""
        if self._every == 0:
            return True
        if not time >= self._first:  # the first frame, or a source that began anew
            self._first, self._slot = time, -1
        slot = math.floor((time - self._first + TOLERANCE) / self._every)
        due = slot > self._slot
        self._slot = max(slot, self._slot)
        return due


class MediaClock:
    """Media seconds since the first frame, from time stamps that may be missing or begin anew."""

    def __init__(self, jump: float = math.inf) -> None:
        self._jump = jump  # seconds; a step forward by so much more than the gap is not believed
        self._offset: float | None = None
        self.time = 0.0  # of the last frame
        self.restarts = 0  # how often the stamps went back or jumped

    def tell(self, stamp: float | None, gap: float) -> float:
        """Time of the next frame.

        Args:
            stamp: its own time stamp in seconds; None if it has none.
            gap: seconds since the last frame by another measure, used where the stamp is no help.
        """
        if self._offset is None:
            self._offset = -stamp if stamp is not None else None
            return self.time
        if stamp is None:
            self.time += gap
            return self.time
        if not 0 <= stamp + self._offset - self.time <= gap + self._jump:
            self._offset = self.time + gap - stamp
            self.restarts += 1
        self.time = stamp + self._offset
        return self.time
