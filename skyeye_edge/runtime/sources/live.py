"""Live video (UDP MPEG-TS, RTSP): the newest frame wins, and a lost source is tried for ever."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from skyeye_edge.core.address import Address, parse_address, without_secrets
from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.frame import Counts, Frame, SourceChange, State
from skyeye_edge.runtime.sources.causes import End
from skyeye_edge.runtime.sources.decoding import DAMAGED
from skyeye_edge.runtime.sources.live_child import POLITE, Message, ReaderProcess
from skyeye_edge.runtime.sources.live_reader import Request
from skyeye_edge.runtime.sources.mailbox import Mailbox
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.sources.timing import Moment, check_every

log = logging.getLogger(__name__)
SCHEMES = ("udp", "rtsp")
STALLED_AFTER = 2.0  # seconds without a frame
LOST_AFTER = 6.0  # seconds; FFmpeg's own time limit, where it works, has fired by then
OPEN_LIMIT = 12.0  # seconds for opening and for a first key frame
STEADY = 10.0  # seconds of frames after which a source counts as healthy again


def backoff(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before try number `attempt` (from 0): 0.5 doubling to 10, less up to a half."""
    return min(10.0, 0.5 * 2.0 ** min(attempt, 10)) * (1 - chance() / 2)


def slow_backoff(refusals: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before a camera that refused us `refusals` times (from 1) in a row is tried again.

    30 doubling to 600, less up to a quarter: many cameras lock out for half an hour whoever gives
    five or more wrong passwords within some minutes.
    """
    return min(600.0, 30.0 * 2.0 ** min(refusals - 1, 10)) * (1 - chance() / 4)


def state_after(state: State, silence: float) -> State | None:
    """What `silence` seconds without a frame make of a state; None: give this opening up."""
    if state not in ("LIVE", "STALLED"):
        return state if silence <= OPEN_LIMIT else None
    if silence > LOST_AFTER:
        return None
    return "STALLED" if silence > STALLED_AFTER else state


def live_address(url: str) -> Address:
    """What `url` means, if it is something that can be watched.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear.
    """
    scheme = url.partition("://")[0].strip().lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(f"{without_secrets(url)}: cannot be watched; known are {known}")
    address = parse_address(url)
    if address.scheme == "udp" and address.port is None:
        raise InputError(f"{address.shown}: the port is missing, as in udp://@:5600")
    return address


class LiveSource:
    """The frames of a camera or drone; reconnects until it is stopped.

    Raises:
        InputError: `live_address` refuses it.
    """

    def __init__(self, url: str, *, keep_damaged: bool = False) -> None:
        self._address = live_address(url)
        with needs("runtime"):
            import av  # noqa: F401  # only the child uses it; if it is missed, then now
        self.name = self._address.shown
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
            yield from self._box.items(before_each=self._ask)
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

    def _supervise(self, every: float) -> None:
        attempt = refusals = 0
        self._change("CONNECTING", "opening")
        while not self._stopping.is_set():
            opened = time.monotonic()
            end = self._session(every)
            if self._stopping.is_set():
                break
            if self._heard - opened > STEADY:
                attempt = refusals = 0
            refusals += end.refused
            self._change("RECONNECTING", end.cause)
            self._stopping.wait(slow_backoff(refusals) if end.refused else backoff(attempt))
            attempt += 1
        self._change("ENDED", "stopped")

    def _session(self, every: float) -> End:
        """One opening of the address, from start to end; why it ended."""
        try:
            request = Request(self._address.for_ffmpeg, every, self._last, self._keep_damaged)
            with ReaderProcess(request) as reader:
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
            state = state_after(self._state, silence)
            if state is None:
                return End(f"no frame for {silence:.0f} s")
            if state != self._state:
                self._change(state, f"no frame for {STALLED_AFTER:.0f} s")
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
        if values["marked"] and not self._warned:
            self._warned = True
            log.warning(DAMAGED, self.name, ", or because two senders use one port")
        counts = Counts(*values["counts"])
        if values["type"] != "frame":
            self._box.count(counts)
            return End(values["cause"], values["refused"]) if values["type"] == "end" else None
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
        )
        with self._lock:
            self._wish = False
        self._box.offer(frame)
        return None

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
