"""Live video: the newest frame wins, and a lost source is tried for ever."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.frame import Counts, DataPacket, Frame, SourceChange, State
from skyeye_edge.runtime.sources.causes import End
from skyeye_edge.runtime.sources.decoding import DAMAGED
from skyeye_edge.runtime.sources.live_child import POLITE, Message, ReaderProcess
from skyeye_edge.runtime.sources.mailbox import Mailbox
from skyeye_edge.runtime.sources.messages import Request
from skyeye_edge.runtime.sources.packet_tap import TapOrder
from skyeye_edge.runtime.sources.registry import Notes, Patience, live_target
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.sources.timing import Moment, check_every

log = logging.getLogger(__name__)
WARM_UP = 1.0  # seconds by which a reader process is started before it is needed


def backoff(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before try number `attempt` (from 0): 0.25 doubling to 1, less up to a half."""
    return min(1.0, 0.25 * 2.0 ** min(attempt, 10)) * (1 - chance() / 2)


def slow_backoff(refusals: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before a camera that refused us `refusals` times (from 1) in a row is tried again.

    30 doubling to 600, less up to a quarter: many cameras lock out for half an hour whoever gives
    five or more wrong passwords within some minutes.
    """
    return min(600.0, 30.0 * 2.0 ** min(refusals - 1, 10)) * (1 - chance() / 4)


def state_after(state: State, silence: float, patience: Patience) -> State | None:
    """What `silence` seconds without a frame make of a state; None: give this opening up."""
    if state not in ("LIVE", "STALLED"):
        return state if silence <= patience.opening else None
    if silence > patience.lost:
        return None
    return "STALLED" if silence > patience.stalled else state


class LiveSource:
    """The frames of a camera or drone; reconnects until it is stopped.

    Args:
        what: an address.
        options: of the reader or of FFmpeg; they override those of the registry.
        keep_damaged: pictures that the decoder marks are given too.

    Raises:
        InputError: `live_target` refuses it.
    """

    def __init__(
        self,
        what: str,
        *,
        options: Mapping[str, str] | None = None,
        keep_damaged: bool = False,
    ) -> None:
        with needs("runtime"):
            import av  # noqa: F401  # only the child uses it; if it is missed, then now
        self._target = live_target(what, options)
        self._inherited: tuple[int, ...] = ()  # file descriptors
        if self._target.kind == "stdin":
            self._inherited = (os.dup(sys.stdin.fileno()),)
            self._target = replace(self._target, text=f"{self._inherited[0]}")
        self.name = self._target.name
        self._box = Mailbox(1)
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._lock = threading.RLock()  # of reader and wish
        self._reader: ReaderProcess | None = None
        self._wish = False  # a frame is wanted and has not come
        self._state: State = "CONNECTING"
        self._cause = ""
        self._keep_damaged = keep_damaged
        self._warned = False  # of damage
        self._last: Moment | None = None  # frame that the reader has told of
        self._heard = 0.0  # when the last frame was, or the opening began; monotonic seconds
        self._notes: Notes = {}  # of the reader, for the one after it
        self._tap: TapOrder | None = None  # where packets are kept
        self._tap_failure = ""
        self._failure: InputError | None = None  # why there is no sense in trying again

    def keep_packets(self, order: TapOrder) -> None:
        """Write every packet to disk, from the next opening on."""
        self._tap = order

    def items(self, every: float) -> Iterator[Item]:
        """Changes of state, and the newest frame each time one is asked for. To be called once."""
        if self._supervisor is not None:
            raise InputError(f"{self.name}: this source is already being read; open another one")
        check_every(every)  # here, and not in the child
        self._supervisor = threading.Thread(
            target=self._supervise, args=(every,), name=f"watch {self.name}", daemon=True
        )
        self._supervisor.start()
        try:
            for item in self._box.items(before_each=self._ask):
                ended = isinstance(item, SourceChange) and item.state == "ENDED"
                if ended and self._failure is not None:
                    raise self._failure
                yield item
        finally:  # also when somebody stops asking without a word
            self.stop()

    def stop(self) -> None:
        """End within two seconds: `items` goes on to ENDED."""
        self._box.stop()
        self._stopping.set()

    def close(self) -> None:
        """Stop, and wait until the child process is gone. Closing twice is fine."""
        self.stop()
        if self._supervisor is not None:
            self._supervisor.join(timeout=3.0)
        inherited, self._inherited = self._inherited, ()
        for descriptor in inherited:
            os.close(descriptor)

    def _supervise(self, every: float) -> None:
        attempt = refusals = 0
        wait, cause = 0.0, "stopped"
        self._change("CONNECTING", "opening")
        while not self._stopping.is_set():
            known = self._last
            end = self._session(every, wait)
            if self._stopping.is_set():
                break
            if end.final:
                self._failure = InputError(f"{self.name}: {end.cause}")
            if end.final or end.over:
                cause = end.cause
                break
            if self._last != known:
                attempt = refusals = 0
            refusals += end.refused
            self._change("RECONNECTING", end.cause)
            wait = slow_backoff(refusals) if end.refused else backoff(attempt)
            attempt += 1
        self._change("ENDED", cause)

    def _session(self, every: float, wait: float) -> End:
        """One opening, after `wait` seconds, from start to end; why it ended."""
        self._stopping.wait(max(0.0, wait - WARM_UP))
        try:
            with ReaderProcess(self._inherited) as reader:
                if self._stopping.wait(min(wait, WARM_UP)):
                    return End("stopped")
                reader.begin(
                    Request(
                        self._target,
                        every,
                        self._last,
                        self._keep_damaged,
                        self._notes,
                        self._tap,
                    )
                )
                self._pass_wishes_to(reader)
                try:
                    return self._follow(reader)
                finally:  # before its pipe is closed
                    self._pass_wishes_to(None)
        except EOFError:
            return End("the reader process died")
        except Exception as error:  # of a thread: reported, and tried again
            log.exception("%s: the reader failed", self.name)
            return End(f"the reader failed: {type(error).__name__}")

    def _follow(self, reader: ReaderProcess) -> End:
        self._heard = time.monotonic()
        while not self._stopping.is_set():
            known = self._last
            message = reader.receive(0.2)
            if message is not None and (end := self._heed(message)) is not None:
                return end
            if self._last != known:
                self._heard = time.monotonic()
            silence = time.monotonic() - self._heard
            state = state_after(self._state, silence, self._target.patience)
            if state is None:
                return End(f"no frame for {silence:.0f} s")
            if state != self._state:
                self._change(state, f"no frame for {self._target.patience.stalled:.0f} s")
        self._pass_wishes_to(None)
        reader.leave()
        while (message := reader.receive(POLITE)) is not None:
            if self._heed(message) is not None:
                break
        return End("stopped")

    def _heed(self, message: Message) -> End | None:
        """Pass a message on; how it ended if it was the last one."""
        values, pixels = message
        known = self._last
        if values["last"] is not None:
            self._last = Moment(*values["last"])
        if self._last != known and not (self._state == "STALLED" and values["last_words"]):
            self._change("LIVE", "frames arrive")
        self._notes = values.get("notes", self._notes)
        self._heed_tap(values.get("tap", ""))
        if values["marked"] and not self._warned:
            self._warned = True
            log.warning(DAMAGED, self.name, ", or because two senders use one port")
        counts = Counts(*values["counts"])
        if values["type"] != "frame":
            self._box.count(counts)
            if values["type"] != "end":
                return None
            return End(**values["end"])
        rgb = np.frombuffer(pixels, np.uint8).reshape(values["shape"])
        moment = Moment(*values["moment"])
        frame = Frame(
            rgb,
            moment.time,
            moment.index,
            moment.epoch,
            moment.wall,
            self.name,
            counts,
            lag=values["lag"],
            decoding=values["decoding"],
            damaged=values["damaged"],
            metadata=tuple(
                DataPacket(codec, b64decode(data), at, stream)
                for codec, data, at, stream in values["metadata"]
            ),
        )
        with self._lock:
            self._wish = False
        self._box.offer(frame)
        return None

    def _heed_tap(self, failure: str) -> None:
        """Say once that packets are not recorded any more."""
        if failure and failure != self._tap_failure:
            log.error(
                "%s: recording stops: %s; the stream goes on, and the recording with the next "
                "opening",
                self.name,
                failure,
            )
        self._tap_failure = failure

    def _change(self, state: State, cause: str) -> None:
        again = state == self._state and (state != "RECONNECTING" or cause == self._cause)
        if again and self._cause:
            return
        self._state, self._cause = state, cause
        level = logging.WARNING if state in ("STALLED", "RECONNECTING") else logging.INFO
        log.log(level, "%s: %s (%s)", self.name, state, cause)
        epoch, time = (self._last.epoch, self._last.time) if self._last else (0, 0.0)
        self._box.offer(SourceChange(state, cause, epoch, time))

    def _pass_wishes_to(self, reader: ReaderProcess | None) -> None:
        with self._lock:
            self._reader = reader
            if reader is not None and self._wish:
                reader.ask()

    def _ask(self) -> None:
        with self._lock:
            if not self._wish and not self._box.holds_frame:  # or it would grow old in there
                self._wish = True
                if self._reader is not None:
                    self._reader.ask()
