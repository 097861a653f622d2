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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.address import parse_address
from skyeye_edge.core.frame import Counts
from skyeye_edge.runtime.sources.causes import End, end_after
from skyeye_edge.runtime.sources.pixels import Converter
from skyeye_edge.runtime.sources.timing import MediaClock, Moment, Sampler

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

HEADER = struct.Struct("<II")  # bytes of the JSON part, bytes of the pixels
TIMEOUT_US = "2500000"  # FFmpeg's own; RTSP raises after twice that
SILENCE = 1.0  # seconds after which what comes may be the rest of a stream that has ended
WAIT_AND_SEE = 0.2  # seconds that such frames wait for proof that the stream goes on
REPORT = 0.25  # seconds after which counts are told even if no frame is wanted
JUMP = 2.0  # a step of media time that means that the sender began anew, seconds

OPTIONS: dict[str, dict[str, str]] = {
    # rw_timeout and stimeout are ignored by both. Not nobuffer: it throws away what was read while
    # opening, and with it often the only key frame for seconds; the newest frame wins anyway.
    "udp": {"timeout": TIMEOUT_US, "overrun_nonfatal": "1", "analyzeduration": "1500000"},
    "rtsp": {
        "timeout": TIMEOUT_US,
        "rtsp_transport": "tcp",
        "probesize": "32768",
        "analyzeduration": "0",
    },
}


def run(url: str, every: float, last: Sequence[float] | None, wishes: int, output: int) -> None:
    """Read `url` until it ends or nobody listens; the last message says why.

    Args:
        url: the address, with credentials.
        every: seconds between frames, 0 for all.
        last: the values of the `Moment` at which an earlier opening ended, if there was one.
        wishes: file descriptor with one byte per wanted frame.
        output: file descriptor for the messages.
    """
    session = Session(
        MediaClock(None if last is None else Moment(*last), jump=JUMP),  # type: ignore[arg-type]
        every,
        wishes,
        lambda values, rgb: write_message(output, values, rgb),
    )
    try:
        end = End(_read(url, session))
    except BrokenPipeError:
        return
    except Exception as error:  # the end of the process; the text of an error may hold the address
        end = end_after(error, parse_address(url))
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


@dataclass
class Session:
    """What happened to the frames of one opening, and which one waits to be wanted."""

    media: MediaClock
    every: float
    wishes: int
    send: Callable[[dict[str, Any], npt.NDArray[np.uint8] | None], None]
    wanted: bool = False
    listened: bool = True  # False once the parent has closed its side
    counts: Counts = field(default_factory=Counts)
    clock: Callable[[], float] = time.monotonic
    told: float = 0.0
    waiting: tuple[av.VideoFrame, Moment] | None = None

    def __post_init__(self) -> None:
        self.sampler = Sampler(self.every)
        self.converter = Converter()
        self.arrived = self.clock()
        self.resumed = -math.inf  # when frames came again after a silence

    def add(self, picture: av.VideoFrame) -> None:
        """Take in one decoded picture; the one that waited leaves as busy."""
        arrived, last = self.clock(), self.media.last
        if self.media.opened and arrived - self.arrived > SILENCE:
            self.resumed = arrived
        moment = self.media.tell(picture.time, arrived)
        if last is not None and moment.epoch > last.epoch:
            self.sampler = Sampler(self.every)
        self.arrived = arrived
        if not self.sampler.is_due(moment.time):
            self.counts += Counts(1, 1)
            return
        if self.waiting is not None:
            self.counts += Counts(1, 0, {"busy": 1})
        self.waiting = (picture, moment)

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
        (picture, moment), self.waiting = self.waiting, None
        self.wanted = False
        rgb = self.converter.upright_rgb(picture)
        values = {"type": "frame", "moment": astuple(moment), "shape": rgb.shape}
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
        self.send({**values, "last_words": last_words, "last": last, "counts": figures}, rgb)

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
            return "there is no video stream"
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # every frame thread would add one frame of delay
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                for picture in packet.decode():
                    session.add(picture)
            except av.InvalidDataError:  # damage, or before the first key frame
                session.counts += Counts(1, 0, {"decode": 1})
            session.tell()
            if not session.listened:
                return "stopped"
    return "the sender ended the stream"


def _write_all(output: int, data: memoryview) -> None:
    while data:
        data = data[os.write(output, data) :]
