"""Annotated video of answers: to a file, or live to a ground station's video widget."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from skyeye_edge.core.address import Address
from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.output import new_file
from skyeye_edge.runtime.sinks.video_writer import VideoRequest

OPENING = 10.0  # seconds that a writer gets for its first picture
WRITING = 5.0  # seconds for each further one; then it hangs, and is killed
LEAVING = 0.8  # seconds to end the file
CHUNK = 1 << 20
# Each picture is a fragment of its own: what was written before a kill can be played.
MP4 = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
TS = {"flush_packets": "1"}
SCHEMES = ("rtp", "rtsp", "rtmp", "udp")

# As in sources: a fresh interpreter, and the address through standard input.
PROGRAM = """
import json, os, sys
line = b""
while not line.endswith(b"\\n"):
    line += os.read(0, 1) or sys.exit()
request = json.loads(line)
output = os.dup(1)
os.dup2(2, 1)
sys.path[:] = request.pop("path")
from skyeye_edge.runtime.sinks.video_writer import VideoRequest, run
run(VideoRequest(**request), 0, output)
"""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a video is made."""

    source: str = ""  # of several sources the one that is shown; empty: the first
    draw: bool = True  # boxes and caption
    fps: float = 5.0  # of a live video while the same picture is shown
    width: int = 0  # at most, in pixels; 0: as it comes
    kbps: int = 0  # at most; 0: no limit
    serve: bool = False  # of rtsp: be the server, and not one who sends to it


class VideoSink:
    """The pictures that were asked about, with their answers, as H.264; of one source.

    The encoder runs in a child process, which is killed when it hangs and started again.

    Args:
        name: for people.
        open_request: what the writer is to do; called for each start, with whether the writer
            before has written a picture.
        settings: see there.
    """

    only_frames = True

    def __init__(
        self,
        name: str,
        open_request: Callable[[bool], VideoRequest],
        settings: VideoSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        with needs("runtime"):
            import av  # noqa: F401  # only the child uses it; if it is missed, then now
        self.name = name
        self._open_request = open_request
        self._source = settings.source
        self._clock = clock
        self._writer: WriterProcess | None = None
        if threading.current_thread() is threading.main_thread():
            # At once: it takes a second to start, and the first answers come after that. Not in any
            # other thread: a live video's writer is killed with the thread that has started it.
            self._writer = WriterProcess(open_request(False))
        self._why = ""
        self._has_written = False  # the writer now
        self._failures = 0
        self._again_at = 0.0

    def write(self, event: Event, frame: Frame | None) -> None:
        """Show it; raises OSError where the other side, or the disk, does not take it."""
        if frame is None:
            return
        self._source = self._source or event.source
        if event.source != self._source or not isinstance(event, AnswerEvent):
            if self._why:  # what is not shown must not look like a success
                raise ConnectionError(self._why)
            return
        if self._writer is None:
            if self._clock() < self._again_at:
                raise ConnectionError(self._why)
            self._writer = WriterProcess(self._open_request(self._has_written))
            self._has_written = False
        try:
            self._writer.put(event, frame)
        except OSError as error:
            self._writer.kill()
            self._writer = None
            self._why = error.strerror or str(error)
            pause = min(5.0, 0.5 * 2.0 ** min(self._failures, 10))
            self._again_at = self._clock() + pause * (1 - random.random() / 2)  # noqa: S311  # jitter
            self._failures += 1
            raise
        self._failures, self._has_written, self._why = 0, True, ""

    def close(self) -> None:
        """End the video. Closing twice is fine."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @property
    def writer_pid(self) -> int | None:
        """Process id of the writer, for logs and tests."""
        return None if self._writer is None else self._writer.pid


class WriterProcess:
    """The parent's end of a writer: starting it, feeding it, ending it."""

    def __init__(self, request: VideoRequest) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=CHUNK,
            start_new_session=True,  # Ctrl-C in a terminal is for us, we end it
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._messages, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._messages.fileno(), False)
        self._said = bytearray()
        self._limit = OPENING
        path = [entry or str(Path.cwd()) for entry in sys.path]
        # at once: it loads its libraries while the model is loaded
        os.write(
            self._messages.fileno(), json.dumps(asdict(request) | {"path": path}).encode() + b"\n"
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def put(self, event: AnswerEvent, frame: Frame) -> None:
        """Have a picture written.

        Raises:
            OSError: it was not; why is said.
        """
        until = time.monotonic() + self._limit
        pixels = np.ascontiguousarray(frame.rgb).data.cast("B")
        values = {"event": event.to_json(), "shape": frame.rgb.shape, "bytes": len(pixels)}
        self._send(json.dumps(values).encode() + b"\n", until)
        self._limit = WRITING
        self._send(pixels, until)
        told = json.loads(self._answer(until))
        if told:
            raise OSError(told["errno"] or 0, told["error"])

    def close(self) -> None:
        """Let it end what it writes, for a short time."""
        with suppress(OSError):
            self._messages.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVING)
        self.kill()

    def kill(self) -> None:
        """End it: the only interrupt that FFmpeg cannot ignore. Twice is fine."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._messages.close()
        self._answers.close()

    def _send(self, data: bytes | memoryview, until: float) -> None:
        file, rest = self._messages.fileno(), memoryview(data)
        while rest:
            left = max(0.0, until - time.monotonic())
            if not select.select([], [file], [], left)[1]:
                raise TimeoutError("it takes no pictures any more")
            try:
                rest = rest[os.write(file, rest[:CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return  # it has said why, or will not answer

    def _answer(self, until: float) -> bytes:
        while b"\n" not in self._said:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                raise TimeoutError("the other side takes nothing")
            data = os.read(self._answers.fileno(), 4096)
            if not data:
                raise ConnectionError("the video writer died")
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return bytes(line)


def video_file(path: Path, settings: VideoSettings) -> VideoSink:
    """An .mp4 that can be played whatever happens to its writer, or a .ts.

    Where a file is already, and after a failure, a number is put behind the name.

    Raises:
        InputError: it cannot be written.
        SkyEyeError: the disk is full.
    """
    kind, options = ("mpegts", TS) if path.suffix.lower() == ".ts" else ("mp4", MP4)
    target = new_file(path.parent, path.stem, path.suffix)

    def request(is_written: bool) -> VideoRequest:
        nonlocal target
        if is_written:
            target = new_file(path.parent, path.stem, path.suffix)
        return _request(f"file:{target}", kind, options, settings, live=False)

    return VideoSink(str(target), request, settings)


def live_video(address: Address, settings: VideoSettings) -> VideoSink:
    """A video that somebody looks at: rtp://, udp:// (MPEG-TS), or pushed to rtsp:// or rtmp://.

    Raises:
        InputError: no host, or no port where one is needed.
    """
    if not address.host or (address.port is None and address.scheme in ("rtp", "udp")):
        raise InputError(f"{address.shown}: say to whom, as in {address.scheme}://127.0.0.1:5600")
    place = f"{address.host}:{address.port}"
    url, kind, options = {
        "rtp": (f"rtp://{place}?pkt_size=1200", "rtp", {}),
        "udp": (f"udp://{place}?pkt_size=1316", "mpegts", TS),
        "rtsp": (address.for_ffmpeg, "rtsp", {"rtsp_transport": "tcp"}),
        "rtmp": (address.for_ffmpeg, "flv", {"flush_packets": "1"}),
    }[address.scheme]
    return VideoSink(
        address.shown, lambda _: _request(url, kind, options, settings, live=True), settings
    )


def _request(
    url: str, kind: str, options: dict[str, str], settings: VideoSettings, *, live: bool
) -> VideoRequest:
    fps = settings.fps or VideoSettings().fps
    return VideoRequest(url, kind, options, live, fps, settings.width, settings.kbps, settings.draw)
