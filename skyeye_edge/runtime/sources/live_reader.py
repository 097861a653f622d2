"""The child process of a live source: opens the address, decodes, hands over the newest frame.

It talks in messages (`write_message`) on what was its standard output; each byte on its standard
input is a wish for one frame, and its end a request to stop. PyAV can hold the GIL for seconds and
cannot be interrupted, so all of it happens here, where the parent can kill it.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.address import parse_address
from skyeye_edge.core.frame import Counts
from skyeye_edge.runtime.sources.causes import NO_VIDEO, RTP, End, end_after
from skyeye_edge.runtime.sources.datagrams import receive, speaks_rtp
from skyeye_edge.runtime.sources.decoding import Decoder, Picture
from skyeye_edge.runtime.sources.pixels import Converter
from skyeye_edge.runtime.sources.timing import Lag, MediaClock, Moment, Sampler

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

HEADER = struct.Struct("<II")  # bytes of the JSON part, bytes of the pixels
TIMEOUT_US = "2500000"  # FFmpeg's own; RTSP raises after twice that
SILENCE = 1.0  # seconds after which what comes may be the rest of a stream that has ended
WAIT_AND_SEE = 0.2  # seconds that such frames wait for proof that the stream goes on
REPORT = 0.25  # seconds after which counts are told even if no frame is wanted
STALE_AFTER = 2.0  # seconds by which a frame may be late before some are left out
KEYLESS = 5.0  # seconds that a key frame is waited for: some encoders never send one
SNIFF = 0.5  # seconds to wait for a datagram that tells what the sender speaks
JUMP = 2.0  # a step of media time that means that the sender began anew, seconds

OPTIONS: dict[str, dict[str, str]] = {
    # rw_timeout and stimeout are ignored by both. Not nobuffer: it throws away what was read while
    # opening, and with it often the only key frame for seconds; the newest frame wins anyway.
    "udp": {
        "timeout": TIMEOUT_US,
        "overrun_nonfatal": "1",
        "analyzeduration": "1500000",
        # MPEG-TS is known after some packets. Without a limit, something else is searched for a
        # megabyte: longer than the parent waits, which could then not say what is wrong.
        "formatprobesize": "65536",
    },
    "rtsp": {
        "timeout": TIMEOUT_US,
        "rtsp_transport": "tcp",
        "probesize": "32768",
        "analyzeduration": "0",
    },
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a reader is to do."""

    url: str = field(repr=False)  # with credentials
    every: float  # seconds between frames, 0 for all
    last: Moment | None = None  # last frame of an earlier opening
    keep_damaged: bool = False  # pictures that the decoder marks are wanted too


def parse_request(values: Mapping[str, Any]) -> Request:
    """The reverse of `asdict`."""
    last = values["last"]
    return Request(**{**values, "last": None if last is None else Moment(**last)})


def run(request: Request, wishes: int, output: int) -> None:
    """Read the address until it ends or nobody listens; the last message says why.

    Args:
        request: what is wanted.
        wishes: file descriptor with one byte per wanted frame.
        output: file descriptor for the messages.
    """
    session = Session(request, wishes, lambda values, rgb: write_message(output, values, rgb))
    try:
        end = End(_read(request.url, session))
    except BrokenPipeError:
        return
    except Exception as error:  # the end of the process; the text of an error may hold the address
        end = end_after(error, parse_address(request.url))
    if end.cause == NO_VIDEO and speaks_rtp(receive(parse_address(request.url), SNIFF)):
        end = End(RTP)
    with suppress(BrokenPipeError):
        session.end(end.cause, refused=end.refused)


def write_message(
    output: int, values: Mapping[str, Any], rgb: npt.NDArray[np.uint8] | None = None
) -> None:
    """Send one JSON object, and pixels behind it if there are some."""
    head = json.dumps(values).encode()
    body = memoryview(b"") if rgb is None else rgb.data.cast("B")
    _write_all(output, memoryview(HEADER.pack(len(head), len(body)) + head))
    _write_all(output, body)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A frame that nobody has wanted so far."""

    picture: Picture
    moment: Moment
    late: float  # seconds
    damaged: bool


@dataclass
class Session:
    """What happened to the frames of one opening, and which one waits to be wanted."""

    request: Request
    wishes: int
    send: Callable[[dict[str, Any], npt.NDArray[np.uint8] | None], None]
    wanted: bool = False
    listened: bool = True  # False once the parent has closed its side
    counts: Counts = field(default_factory=Counts)
    clock: Callable[[], float] = time.monotonic
    told: float = 0.0
    waiting: Waiting | None = None

    def __post_init__(self) -> None:
        self.media = MediaClock(self.request.last, jump=JUMP)
        self.sampler = Sampler(self.request.every)
        self.lag = Lag(STALE_AFTER)
        self.anew = -math.inf  # when the sender began anew, if no key frame has come since
        self.marked = False  # some picture was, since the last message
        self.converter = Converter()
        self.arrived = self.clock()
        self.resumed = -math.inf  # when frames came again after a silence

    def is_wanted(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Whether to decode; a stream that lags is left out up to the next key frame, as stale."""
        since = self.lag.skipping_since
        if since is None or packet.is_keyframe or packet.size == 0:
            return True
        if self.clock() - since.wall > KEYLESS:
            return True
        self.counts += Counts(1, 0, {"stale": 1})
        return False

    def add(self, picture: Picture) -> None:
        """Take in one decoded picture; the one that waited leaves as busy."""
        moment = self._moment(picture)
        late = self.lag.tell(moment)
        # Drawn from pictures of before, it is a mixture, and no decoder marks it: two senders on
        # one port gave 54 answers about such.
        torn = moment.wall - self.anew < KEYLESS
        hit = picture.marked or torn
        self.marked = self.marked or hit
        if hit and not self.request.keep_damaged:
            self.counts += Counts(1, 0, {"decode": 1})
        elif self.lag.skipping_since is not None and not picture.raw.key_frame:
            self.counts += Counts(1, 0, {"stale": 1})
        elif not self.sampler.is_due(moment.time):
            self.counts += Counts(1, 1)
        else:
            self._replace(Waiting(picture, moment, late, picture.damaged or torn))

    def _moment(self, picture: Picture) -> Moment:
        """When it is; notes silence, and a sender that began anew or is another one."""
        arrived, last, opened = self.clock(), self.media.last, self.media.opened
        if opened and arrived - self.arrived > SILENCE:
            self.resumed = arrived
        self.arrived = arrived
        moment = self.media.tell(picture.raw.time, arrived)
        if opened and last is not None and moment.epoch > last.epoch:
            self.sampler = Sampler(self.request.every)
            self.anew = arrived
        if picture.raw.key_frame:
            self.anew = -math.inf
        return moment

    def _replace(self, waiting: Waiting) -> None:
        if self.waiting is not None:
            self.counts += Counts(1, 0, {"busy": 1})
        self.waiting = waiting

    def tell(self) -> None:
        """Send the waiting frame if it is wanted, and the counts now and then."""
        self._listen()
        if self.arrived - self.resumed < WAIT_AND_SEE:
            return
        if self.wanted and self.waiting is not None:
            self._hand_over()
        elif self.clock() - self.told > REPORT:
            self._say({"type": "counts"})

    def end(self, cause: str, *, refused: bool = False) -> None:
        """Send what is left, why there is no more, and whether the camera let us in."""
        if self.waiting is not None and self.listened:
            self._hand_over(last_words=True)
        elif self.waiting is not None:
            self.counts += Counts(1, 0, {"closed": 1})
        self._say({"type": "end", "cause": cause, "refused": refused}, last_words=True)

    def _hand_over(self, *, last_words: bool = False) -> None:
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        self.wanted = False
        began = time.perf_counter()
        rgb = self.converter.upright_rgb(waiting.picture.raw)
        values = {
            "type": "frame",
            "moment": astuple(waiting.moment),
            "shape": rgb.shape,
            "lag": waiting.late,
            "decoding": waiting.picture.seconds + time.perf_counter() - began,
            "damaged": waiting.damaged,
        }
        self._say(values, rgb, last_words=last_words)

    def _say(
        self,
        values: dict[str, Any],
        rgb: npt.NDArray[np.uint8] | None = None,
        *,
        last_words: bool = False,
    ) -> None:
        counts, self.counts = self.counts, Counts()
        self.told = self.clock()
        last = None if self.media.last is None else astuple(self.media.last)
        figures = [counts.received, counts.skipped, counts.dropped]
        facts = {"last": last, "last_words": last_words, "counts": figures, "marked": self.marked}
        self.marked = False
        self.send(values | facts, rgb)

    def _listen(self) -> None:
        while self.listened and select.select([self.wishes], [], [], 0)[0]:
            heard = os.read(self.wishes, 64)
            self.wanted = self.wanted or bool(heard)
            self.listened = bool(heard)


def _read(url: str, session: Session) -> str:
    import av

    options = OPTIONS[url.partition("://")[0].lower()]
    with av.open(url, "r", options=options) as container:
        if not container.streams.video:
            return NO_VIDEO
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # every frame thread would add one frame of delay
        stream.codec_context.thread_count = 1
        decoder = Decoder()
        for packet in container.demux(stream):
            if session.is_wanted(packet):
                for picture in decoder.pictures(packet):
                    session.add(picture)
            if failed := decoder.failed():
                session.counts += Counts(failed, 0, {"decode": failed})
            session.tell()
            if not session.listened:
                return "stopped"
    return "the sender ended the stream"


def _write_all(output: int, data: memoryview) -> None:
    while data:
        data = data[os.write(output, data) :]
