"""From one stream to many sinks, of which none can hold it up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.sink import Sink

log = logging.getLogger(__name__)
SLOTS = 64  # events that may wait for a sink
PATIENCE = 1.0  # seconds that sinks get to write what waits when they are closed


class Fan:
    """Hands every event to each sink; what a sink has no time for is lost to it, and counted."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._lock = threading.Lock()
        self._outlets: list[_Outlet] = []
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """From now on events go there, too; from any thread."""
        with self._lock:
            self._outlets.append(_Outlet(sink))

    def remove(self, sink: Sink) -> None:
        """Write what waits, then close it; from any thread."""
        with self._lock:
            leaving = [outlet for outlet in self._outlets if outlet.sink is sink]
            self._outlets = [outlet for outlet in self._outlets if outlet.sink is not sink]
        _close(leaving)

    @property
    def losses(self) -> Mapping[str, int]:
        """Events that a sink did not get, by its name; only of sinks that missed some."""
        return {each.sink.name: each.lost for each in self._outlets if each.lost}

    def offer(self, event: Event, frame: Frame | None) -> None:
        """Hand an event to all; never waits."""
        for outlet in self._outlets:
            outlet.offer(event, frame)

    def close(self) -> None:
        """Let each write what waits, for a bounded time. Closing twice is fine."""
        with self._lock:
            leaving, self._outlets = self._outlets, []
        _close(leaving)


def _close(outlets: Sequence[_Outlet]) -> None:
    for outlet in outlets:
        outlet.end()
    for outlet in outlets:
        outlet.join(PATIENCE)


class _Outlet:
    """A sink, the thread that writes to it, and what waits for it."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.lost = 0
        self._waiting: deque[tuple[Event, Frame | None]] = deque()
        self._changed = threading.Condition()
        self._ended = self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    def offer(self, event: Event, frame: Frame | None) -> None:
        with self._changed:
            if len(self._waiting) == SLOTS:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append((event, frame))
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                event, frame = self._waiting.popleft()
            self._write(event, frame)
            del event, frame
        try:
            self.sink.close()
        except (OSError, SkyEyeError) as error:
            log.error("%s: %s", self.sink.name, error)

    def _write(self, event: Event, frame: Frame | None) -> None:
        try:
            self.sink.write(event, frame)
        except (OSError, SkyEyeError) as error:
            self.lost += 1
            if not self._failing:
                log.error("%s: %s; the stream goes on without it", self.sink.name, error)
            self._failing = True
        else:
            self._failing = False
