"""From one stream to many sinks, of which none can hold it up."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.sink import Sink

log = logging.getLogger(__name__)
SLOTS = 64  # events that may wait for a sink
PICTURES = 8  # of them that may hold a picture: 6 MB each at 1080p
PATIENCE = 1.0  # seconds that all sinks together get to write what waits when they are closed
AGAIN = (0.2, 5.0)  # seconds until a failed write is tried again: the first time, and at most
QUIET = 10.0  # seconds within which a sink that fails now and then is told of once
_Entry = tuple[Event, Frame | None]


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of the events for one sink: offered = written + waiting + sum(lost)."""

    offered: int = 0
    written: int = 0
    waiting: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    """By cause: `slow` (no room, because it wrote too slowly), `failed` (it could not be written),
    `closed` (still on its way when the stream was closed)."""


class Fan:
    """Hands every event to each sink; what a sink has no time for is lost to it, and counted.

    Where there is no room, answers are lost first, the oldest before others: changes of state,
    alerts and summaries are not.
    """

    def __init__(self, sinks: Iterable[Sink] = (), *, patience: float = PATIENCE) -> None:
        self._lock = threading.Lock()
        self._patience = patience
        self._outlets: list[_Outlet] = []
        self._left: dict[str, SinkCounts] = {}  # of sinks that were closed
        self._incomplete: list[str] = []
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """From now on events go there, too; from any thread."""
        with self._lock:
            taken = {*self._left, *(outlet.name for outlet in self._outlets)}
            self._outlets.append(_Outlet(sink, _free_name(sink.name, taken)))

    def remove(self, sink: Sink) -> None:
        """Write what waits, then close it; from any thread."""
        with self._lock:
            leaving = [outlet for outlet in self._outlets if outlet.sink is sink]
            self._outlets = [outlet for outlet in self._outlets if outlet.sink is not sink]
        self._close(leaving)

    @property
    def counts(self) -> Mapping[str, SinkCounts]:
        """What became of the events, by the name of the sink; also of sinks that were closed."""
        with self._lock:
            return self._left | {outlet.name: outlet.counts for outlet in self._outlets}

    @property
    def losses(self) -> Mapping[str, Mapping[str, int]]:
        """Events that a sink did not get, by its name and the cause; only of those with losses."""
        return {name: counts.lost for name, counts in self.counts.items() if counts.lost}

    @property
    def incomplete(self) -> Sequence[str]:
        """Closed sinks that should hold every event, and do not."""
        return tuple(self._incomplete)

    def offer(self, event: Event, frame: Frame | None) -> None:
        """Hand an event to all; never waits."""
        for outlet in self._outlets:
            outlet.offer(event, frame)

    def close(self) -> None:
        """Let each write what waits, for a bounded time. Closing twice is fine."""
        with self._lock:
            leaving, self._outlets = self._outlets, []
        self._close(leaving)

    def _close(self, outlets: Sequence[_Outlet]) -> None:
        until = time.monotonic() + self._patience
        for outlet in outlets:
            outlet.end()
        for outlet in outlets:
            outlet.leave(until)
        with self._lock:
            for outlet in outlets:
                self._left[outlet.name] = outlet.counts
                if outlet.counts.lost and getattr(outlet.sink, "keeps_all", False):
                    self._incomplete.append(outlet.name)


class _Outlet:
    """A sink, the thread that writes to it, and what waits for it."""

    def __init__(self, sink: Sink, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.sink = sink
        self.name = name
        self._wants_frames = bool(getattr(sink, "wants_frames", True))
        self._only_frames = bool(getattr(sink, "only_frames", False))
        self._spool = int(getattr(sink, "spool", 0))
        self._clock = clock
        self._offered = self._written = self._busy = 0
        self._lost: dict[str, int] = {}
        self._waiting: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._ended = self._left = False
        self._failures = 0  # in a row
        self._told = -QUIET  # when the last failure was
        self._is_told = False  # of the failure that goes on
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> SinkCounts:
        with self._changed:
            waiting = len(self._waiting) + self._busy
            return SinkCounts(self._offered, self._written, waiting, dict(self._lost))

    def offer(self, event: Event, frame: Frame | None) -> None:
        if frame is None and self._only_frames:
            return
        with self._changed:
            self._offered += 1
            if self._ended:
                self._lose("closed")
                return
            self._waiting.append((event, frame if self._wants_frames else None))
            self._make_room()
            self._changed.notify_all()

    def end(self) -> None:
        """Write what waits, then close the sink."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def leave(self, until: float) -> None:
        """Wait until it is closed, or until it is too late; then it is left alone."""
        self._thread.join(max(0.0, until - self._clock()))
        with self._changed:
            self._left = True
            self._lose("closed", len(self._waiting) + self._busy)
            self._waiting.clear()
            self._busy = 0
            lost = sum(self._lost.values())
        if self._thread.is_alive():
            log.error("%s: does not end, and is left alone", self.name)
        if lost:
            causes = ", ".join(f"{number} {cause}" for cause, number in self._lost.items())
            log.error("%s: %d events are missing (%s)", self.name, lost, causes)

    def _make_room(self) -> None:
        cause = "failed" if self._failures else "slow"
        pictured = [n for n, (_, frame) in enumerate(self._waiting) if frame is not None]
        if len(pictured) > PICTURES:
            number = next((n for n in pictured if _is_answer(self._waiting[n][0])), None)
            if number is None:  # alerts only: they are told, without their pictures
                self._waiting[pictured[0]] = (self._waiting[pictured[0]][0], None)
            else:
                self._drop(number)
                self._lose(cause)
        if len(self._waiting) > max(SLOTS, self._spool):
            answers = (n for n, (event, _) in enumerate(self._waiting) if _is_answer(event))
            self._drop(next(answers, 0))
            self._lose(cause)

    def _drop(self, number: int) -> None:
        del self._waiting[number]

    def _lose(self, cause: str, number: int = 1) -> None:
        if number:
            self._lost[cause] = self._lost.get(cause, 0) + number

    def _run(self) -> None:
        while (entry := self._take()) is not None:
            failure = self._try(*entry)
            self._settle(entry, failure)
            del entry  # or the picture would stay as long as nothing new comes
        self._end()

    def _take(self) -> _Entry | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._waiting:
                return None
            self._busy = 1
            return self._waiting.popleft()

    def _try(self, event: Event, frame: Frame | None) -> Exception | None:
        try:
            self.sink.write(event, frame)
        except (OSError, SkyEyeError) as error:
            return error
        except Exception as error:  # a program's own sink may raise what it likes
            log.debug("%s: %r", self.name, error, exc_info=True)
            return error
        return None

    def _settle(self, entry: _Entry, failure: Exception | None) -> None:
        """Count an event that was tried; one that is to be tried again goes back to its place."""
        with self._changed:
            if self._left:
                return
            self._busy = 0
            if failure is None:
                self._written += 1
                back = self._failures and self._is_told
                self._failures = 0
            elif self._spool and not (self._ended and self._failures):
                self._waiting.appendleft(entry)
                self._failures += 1
                self._make_room()
            else:
                self._lose("failed")
                self._failures += 1
        if failure is not None:
            self._tell(failure)
            self._pause()
        elif back:
            self._is_told = False
            lost = sum(self._lost.values())
            log.error("%s: works again; %d events are missing so far", self.name, lost)

    def _pause(self) -> None:
        """Before the next try of what is tried again; the end comes at once."""
        if self._spool:
            first, most = AGAIN
            with self._changed:
                seconds = min(most, first * 2.0 ** min(self._failures - 1, 10))
                self._changed.wait_for(lambda: self._ended, seconds)

    def _tell(self, failure: Exception) -> None:
        if self._is_told or self._clock() - self._told < QUIET:
            return
        self._is_told, self._told = True, self._clock()
        what = "wait, as many as there is room for," if self._spool else "are lost"
        log.error(
            "%s: %s; watching goes on, events %s until it is mended",
            self.name, _reason(failure), what,
        )  # fmt: skip

    def _end(self) -> None:
        try:
            self.sink.close()
        except Exception as error:
            log.error("%s: %s", self.name, _reason(error))
        unsent = int(getattr(self.sink, "unsent", 0))
        with self._changed:
            if not self._left:
                self._written -= unsent
                self._lose("closed", unsent)


def _is_answer(event: Event) -> bool:
    return isinstance(event, AnswerEvent)


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _reason(error: Exception) -> str:
    """The system's words; ours say what to do about a file that can be written again as a whole."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError):
        return (cause.strerror or str(cause)).lower()
    if isinstance(error, SkyEyeError):
        return str(error)
    return f"{type(error).__name__}: {error}"
