"""The child process of a video sink: draws answers on pictures, encodes and sends or writes them.

It gets messages on its standard input, a line of JSON each and the pixels behind it, and answers
each with a line on what was its standard output. PyAV holds the GIL while it opens a network
output, for as long as the other side says nothing, and nothing interrupts it: so all of it happens
here, where the parent can kill it.
"""

from __future__ import annotations

import errno
import json
import os
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.answer_drawing import draw_answer
from skyeye_edge.core.events import AnswerEvent, parse_event
from skyeye_edge.runtime.sinks.h264 import TICK, add_stream, even, fitted
from skyeye_edge.runtime.sources.pixels import Converter

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

# zerolatency: nothing stays in the encoder, so that a kill costs no picture
ENCODER = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", "crf": "23"}
PR_SET_PDEATHSIG, SIGKILL = 1, 9


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """What a writer is to do."""

    url: str  # with credentials; a file as file:PATH
    format: str  # of FFmpeg
    options: Mapping[str, str]  # of FFmpeg
    live: bool  # somebody looks at it: a picture is repeated until the next one comes
    fps: float  # of the repeated pictures
    width: int  # of the video; 0: as the pictures are
    kbps: int  # at most; 0: no limit
    draw: bool  # boxes and caption


def run(request: VideoRequest, messages: int, output: int) -> None:
    """Write until the parent ends the messages; each is answered by a line.

    Args:
        request: what is wanted.
        messages: file descriptor of the pictures.
        output: file descriptor for the answers.
    """
    if request.live:
        die_with_parent()
    writer = VideoWriter(request)
    try:
        while True:
            while not select.select([messages], [], [], writer.patience)[0]:
                writer.repeat()
            message = read_message(messages)
            if message is None:
                return
            writer.put(*message)
            os.write(output, b"{}\n")
    except OSError as error:  # as PyAV's are; their text may hold the address
        words = error.strerror or type(error).__name__
        if request.live and error.errno == errno.EIO:  # as FFmpeg also calls an unknown name
            words = "nothing can be sent there (is the name of the host right?)"
        told = {"error": words, "errno": error.errno}
        with suppress(BrokenPipeError):
            os.write(output, json.dumps(told).encode() + b"\n")
    finally:
        with suppress(OSError):
            writer.close()


class VideoWriter:
    """One output, opened with the first picture."""

    def __init__(self, request: VideoRequest) -> None:
        self._request = request
        self._converter = Converter()
        self._output: av.container.OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._picture: av.VideoFrame | None = None  # the last one
        self._began = self._due = 0.0  # monotonic seconds
        self._last = -1  # ticks

    @property
    def patience(self) -> float | None:
        """Seconds until the last picture is to be repeated; None: it is not."""
        if self._picture is None or not self._request.live:
            return None
        return max(0.0, self._due - time.monotonic())

    def put(self, event: AnswerEvent, rgb: npt.NDArray[np.uint8]) -> None:
        """Write the picture of an answer; raises OSError."""
        if self._request.draw:
            rgb = draw_answer(rgb, event)
        rgb = even(narrowed(rgb, self._request.width))
        stream = self._stream or self._open(rgb)
        matrix = stream.codec_context.colorspace
        self._picture = self._converter.yuv(fitted(rgb, stream.width, stream.height), matrix)
        self._write(event.time)

    def repeat(self) -> None:
        """Write the last picture once more."""
        self._write(0.0)

    def close(self) -> None:
        """Write what is left; raises OSError."""
        if self._output is None or self._stream is None:
            return
        try:
            self._output.mux(self._stream.encode(None))
        finally:
            self._output.close()

    def _open(self, rgb: npt.NDArray[np.uint8]) -> VideoStream:
        import av

        wanted = self._request
        self._output = av.open(wanted.url, "w", format=wanted.format, options=dict(wanted.options))
        rate = Fraction(wanted.fps).limit_denominator(1001)
        encoder = dict(ENCODER)
        if wanted.live:
            encoder |= {"preset": "superfast", "g": str(max(1, round(wanted.fps)))}
        if wanted.kbps:
            encoder |= {"maxrate": f"{wanted.kbps}k", "bufsize": f"{wanted.kbps}k"}
        self._stream = add_stream(self._output, rgb, rate, encoder)
        self._began = time.monotonic()
        return self._stream

    def _write(self, media_time: float) -> None:
        """Write the picture, in a file at its media time, on a line now."""
        assert self._output is not None and self._stream is not None and self._picture is not None
        now = time.monotonic()
        moment = now - self._began if self._request.live else media_time
        # one tick at least: no two pictures at the same time
        self._last = max(self._last + 1, round(moment / TICK))
        self._picture.pts = self._last
        self._output.mux(self._stream.encode(self._picture))
        self._due = now + 1 / self._request.fps


def narrowed(rgb: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    """`rgb` of at most this width, 0 for any."""
    if not width or rgb.shape[1] <= width:
        return rgb
    return fitted(rgb, width, max(2, round(rgb.shape[0] * width / rgb.shape[1])))


def read_message(messages: int) -> tuple[AnswerEvent, npt.NDArray[np.uint8]] | None:
    """The next picture with its answer; None at the end."""
    head = bytearray()
    while not head.endswith(b"\n"):
        if not (byte := os.read(messages, 1)):
            return None
        head += byte
    values: dict[str, Any] = json.loads(head)
    pixels = bytearray(values["bytes"])
    view, filled = memoryview(pixels), 0
    while filled < len(pixels):
        if not (got := os.readv(messages, [view[filled:]])):
            return None
        filled += got
    event = parse_event(values["event"])
    assert isinstance(event, AnswerEvent)
    return event, np.frombuffer(pixels, np.uint8).reshape(values["shape"])


def die_with_parent() -> None:
    """Be killed when the parent is: a call into FFmpeg that hangs would outlive it."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
