"""Frames that another program pushes, for example a callback of a robotics stack."""

from __future__ import annotations

import itertools
import threading
import time as clocks
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.address import is_like_address, without_secrets
from skyeye_edge.core.arguments import check_number, check_text, check_whole
from skyeye_edge.core.errors import ClosedError, InputError
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources.mailbox import Mailbox
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.sources.timing import Sampler


class Push:
    """A source whose frames come from outside; the newest wins.

    camera = Push()
    live = model.stream(camera, tasks=[Caption()], every=0)
    camera.push(array, time=12.4)     # from any thread, never blocks
    camera.end()

    Args:
        name: stands as `source` in every event; by default push-1, push-2, ... in a program.
        slots: how many frames may wait.
        clock: monotonic seconds.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        name: str | None = None,
        *,
        slots: int = 1,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        if name is not None:
            check_text(name, "push: name")
        check_whole(slots, "push: slots", 1)
        if name is not None and is_like_address(name):  # of the camera that is read elsewhere
            name = without_secrets(name)
        self.name = f"push-{next(self._numbers)}" if name is None else name
        self._box = Mailbox(slots)
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may call stop in the middle of a push
        self._sampler = Sampler(0.0)
        self._read = self._ended = False
        self._began: float | None = None
        self._time = 0.0
        self._index = self._epoch = 0

    def push(
        self, rgb: npt.NDArray[np.uint8] | Frame, *, time: float | None = None, user: Any = None
    ) -> None:
        """Hand over one image. It is copied; if it finds no place, the oldest leaves as `busy`.

        Args:
            rgb: (H, W, 3) uint8, RGB; or a Frame, e.g. from `Frame.from_bgr`.
            time: media seconds, by default since the first push; going back begins a new epoch.
            user: any JSON value, such as the stamp of your message; `event.user` gives it back (of
                a clip, that of its last frame). By default the frame's own.

        Raises:
            ClosedError: `end` has been called.
            InputError: another shape or type, or `user` is nothing that JSON can hold.
        """
        if time is not None:
            check_number(time, f"{self.name}: time in seconds")
        pixels = rgb.rgb if isinstance(rgb, Frame) else rgb
        if user is None and isinstance(rgb, Frame):
            user = rgb.user
        arrived = self._clock()
        with self._lock:
            if self._ended:
                raise ClosedError(f"{self.name}: a frame was pushed after end()")
            if self._box.stopped:
                return
            self._began = arrived if self._began is None else self._began
            when = arrived - self._began if time is None else float(time)
            epoch = self._epoch + (when < self._time)
            if self._sampler.is_due(when):
                copy = np.array(pixels)
                frame = Frame(copy, when, self._index, epoch, arrived, self.name, user=user)
                self._box.offer(frame)
            else:
                self._box.count(Counts(1, 1))
            self._index, self._epoch, self._time = self._index + 1, epoch, when

    def end(self) -> None:
        """No frame will follow; those that wait are still answered. Calling it twice is fine."""
        with self._lock:
            if not self._ended:
                self._ended = True
                self._box.offer(SourceChange("ENDED", "ended", self._epoch, self._time))

    def items(self, every: float) -> Iterator[Item]:
        """Frames due by `every`, as they come; ENDED at the end. To be called once."""
        with self._lock:
            if self._read:
                raise InputError(f"{self.name}: already being read; make another Push")
            self._read = True
            self._sampler = Sampler(every)
            if self._index:  # a frame was pushed before anybody asked: the next is due after it
                self._sampler.is_due(self._time)
        yield from self._box.items()

    def stop(self) -> None:
        """Want no more: frames that wait are counted as closed, later ones are ignored."""
        with self._lock:
            if not self._box.stopped:
                self._box.stop()
                self._box.offer(SourceChange("ENDED", "stopped", self._epoch, self._time))

    def close(self) -> None:
        """The same as stop; closing twice is fine."""
        self.stop()
