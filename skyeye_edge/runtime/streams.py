"""Several sources, one model: their events as they come, each stream in its turn."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from skyeye_edge.core.errors import ClosedError
from skyeye_edge.core.events import Event
from skyeye_edge.core.tasks import Task, as_tasks
from skyeye_edge.runtime.alerts import Alert, as_alerts
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.stream import Stream
from skyeye_edge.runtime.watching import Watching

log = logging.getLogger(__name__)


class Streams:
    """The events of several streams; a context manager and an iterator.

    One that ends or fails does not end the others: its state event says why, its summary counts its
    frames. An error is raised when all have ended.

    Args:
        watching: what is asked of each source; its sinks are closed with the streams.
        sources: what is watched from the beginning, each with its priority.
    """

    def __init__(
        self, watching: Watching, sources: Sequence[tuple[str | Path | Source, float]]
    ) -> None:
        self.sinks = watching.sinks  # where the events of all go besides
        self._watching = watching
        self._changed = threading.Condition()  # over an RLock: a signal handler may call stop
        self._streams: deque[Stream] = deque()  # whose turn it is comes first
        self._failure: BaseException | None = None
        self._closed = self._stopped = False
        try:
            for source, priority in sources:
                self.add(source, priority=priority)
        except BaseException:
            self.close()
            raise

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that have not ended, in no particular order."""
        return tuple(self._streams)

    def add(self, source: str | Path | Source, *, priority: float = 1.0) -> Stream:
        """Watch one more source; from any thread.

        Raises:
            ClosedError: the streams were stopped or closed before.
            InputError: no such source.
        """
        if self._closed or self._stopped:
            raise ClosedError("these streams have ended; open new ones")
        watching = self._watching
        stream = watching.open(source, priority, self._changed)
        with self._changed:
            if self._watching is not watching:  # changed while it was opened
                stream.set_tasks(self._watching.tasks, self._watching.alerts)
            self._streams.append(stream)
            self._changed.notify_all()
        return stream

    def remove(self, stream: Stream) -> None:
        """Watch a source no more: its events go on to ENDED and its summary. From any thread."""
        stream.stop()

    def set_tasks(self, tasks: Sequence[Task], alerts: Sequence[Alert] | None = None) -> None:
        """Ask something else about all of them, and about those added later; from any thread.

        Args:
            tasks, alerts: as for `Stream.set_tasks`.

        Raises:
            InputError: as for `Stream.set_tasks`; then nothing has changed.
        """
        with self._changed:
            watched = self._watching.alerts if alerts is None else as_alerts(alerts)
            self._watching = replace(self._watching, tasks=as_tasks(tasks), alerts=watched)
            for stream in self.streams:
                stream.set_tasks(tasks, alerts)

    def pause(self) -> None:
        """Ask nothing about any of them until `resume`; see `Stream.pause`."""
        for stream in self.streams:
            stream.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        for stream in self.streams:
            stream.resume()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._closed:
            raise ClosedError("these streams are closed; open new ones")
        self._await_events(True)
        try:
            while self._streams:
                if (event := self._poll()) is not None:
                    return event
        finally:
            self._await_events(False)
        self.sinks.close()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        raise StopIteration

    def __enter__(self) -> Streams:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def stop(self) -> None:
        """Ask all for their end: events go on to each ENDED and summary. Twice is fine."""
        self._stopped = True
        for stream in self.streams:
            stream.stop()

    def close(self) -> None:
        """Stop and give everything back; no further event. Closing twice is fine."""
        self.stop()
        self._closed = True
        for stream in self.streams:
            stream.close()
        self.sinks.close()

    def _await_events(self, awaited: bool) -> None:
        for stream in self.streams:
            stream.await_events(awaited)

    def _poll(self) -> Event | None:
        """An event of the next stream that has one; else waits until something has changed."""
        for _ in range(len(self._streams)):
            stream = self._streams[0]
            self._streams.rotate(-1)
            event = stream.poll()
            if stream.has_ended:
                self._leave(stream)
            if event is not None:
                return event
        with self._changed:
            if self._streams and not any(stream.is_ready for stream in self._streams):
                left = [stream.patience_left for stream in self._streams]
                self._changed.wait(min((each for each in left if each is not None), default=None))
        self._await_events(True)  # also of those that were added meanwhile
        return None

    def _leave(self, stream: Stream) -> None:
        with self._changed:
            self._streams.remove(stream)
        stream.close()
        if stream.failure is not None:
            log.warning("%s: %s", stream.source.name, stream.failure)
            self._failure = self._failure or stream.failure
