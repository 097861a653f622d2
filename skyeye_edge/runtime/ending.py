"""Ending in order when the system asks for it: Ctrl-C, SIGTERM and SIGHUP stop a stream."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from skyeye_edge.runtime.stream import Stream
from skyeye_edge.runtime.streams import Streams

NO_SIGNAL = 0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Whether this program was asked to end; made by `ending_on_signals`."""

    def __init__(self) -> None:
        self.heard: int | None = None  # number of the first signal
        # its `put` is the one thing in a queue that a signal handler may call
        self._wishes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._before: dict[int, signal._HANDLER] = {}
        self._stream: Stream | Streams | None = None
        self._on_hangup: Callable[[], None] | None = None

    def stops(self, stream: Stream | Streams, on_hangup: Callable[[], None] | None = None) -> None:
        """From now on signals stop `stream`; outside the main thread nothing changes.

        Args:
            stream: what is stopped.
            on_hangup: what SIGHUP does instead; None: it stops, too.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._stream, self._on_hangup = stream, on_hangup
        threading.Thread(target=self._wait, name="end on signals", daemon=True).start()
        for number in SIGNALS:
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before == signal.SIG_IGN and on_hangup is None:
                continue  # nohup
            self._before[number] = before
            signal.signal(number, self._hear)

    def restore(self) -> None:
        """Signals mean what they meant before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._wishes.put(NO_SIGNAL)

    def _hear(self, number: int, _: FrameType | None) -> None:
        # Nothing else: it runs between any two steps of the main thread, which may hold any lock.
        if self.heard is None and (number != signal.SIGHUP or self._on_hangup is None):
            self.heard = number
        self._wishes.put(number)

    def _wait(self) -> None:
        assert self._stream is not None
        while (number := self._wishes.get()) != NO_SIGNAL:
            if number == signal.SIGHUP and self._on_hangup is not None:
                self._on_hangup()
            else:
                self._stream.stop()


@contextmanager
def ending_on_signals() -> Iterator[Ending]:
    """Until the block is left, signals stop the stream that `Ending.stops` was told of.

    Ctrl-C a second time does nothing more: the end is bounded, and an exception in the middle of it
    would cost the last events. To be entered before what has to be closed in peace.
    """
    ending = Ending()
    try:
        yield ending
    finally:
        ending.restore()
