"""Annotated video of a stream: files that survive a kill, and live video that others can show."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path

import av
import numpy as np
import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent, build_answer
from skyeye_edge.core.frame import Counts, Frame
from skyeye_edge.core.results import GroundResult
from skyeye_edge.runtime.sinks import open_sink, video
from skyeye_edge.runtime.sinks.fan import Fan
from skyeye_edge.runtime.sinks.served_video import ServedVideo
from skyeye_edge.runtime.sinks.sink import Sink
from skyeye_edge.runtime.sinks.video import VideoSettings, VideoSink, video_file

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
LIMIT = 300.0  # seconds after which something hangs: no machine is so busy


def picture(number: int, *, noise: bool = False, size: tuple[int, int] = (96, 160)) -> Frame:
    rgb = np.full((*size, 3), 40 + number % 100, np.uint8)
    if noise:
        rgb = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    return Frame(rgb, number / 2, number, source="cam")


def answer(frame: Frame) -> AnswerEvent:
    result = GroundResult("a boat", "found", (Box((20.0, 20.0, 80.0, 80.0), 0.9),))
    return build_answer([frame], [result], Counts(1), UTC, timing_ms={}, model={})


def show(sink: Sink, number: int, **how: bool) -> None:
    frame = picture(number, **how)  # type: ignore[arg-type]
    sink.write(answer(frame), frame)


def times(path: Path) -> list[float]:
    """When the pictures of a file are shown that can be decoded, seconds from the first."""
    found = []
    with av.open(str(path)) as opened:
        try:
            for frame in opened.decode(video=0):
                assert frame.time is not None
                found.append(frame.time)
        except av.error.InvalidDataError:  # a fragment that a kill has torn
            pass
    return [round(each - found[0], 3) for each in found]


@pytest.mark.parametrize("name", ["flight.mp4", "flight.ts"])
def test_a_file_has_the_pictures_that_were_asked_about_at_their_times(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    with closing(open_sink(str(path))) as sink:
        for number in (0, 1, 2, 6):
            show(sink, number)

    assert times(path) == [0.0, 0.5, 1.0, 3.0]
    with av.open(str(path)) as opened:
        first = next(opened.decode(video=0)).to_ndarray(format="rgb24")
    assert (first.shape, first[20:80, 20].max() > 150) == ((96, 160, 3), True)  # the box
    assert np.abs(first[:10, 100:].astype(int) - 40).max() < 12  # the picture


@pytest.mark.parametrize("name", ["flight.mp4", "flight.ts"])
def test_what_was_written_before_a_kill_can_be_played_and_the_next_file_goes_on(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    sink = video_file(path, VideoSettings())
    fan = Fan([sink], patience=LIMIT)
    for number in range(5):
        show(sink, number)
    assert sink.writer_pid is not None
    os.kill(sink.writer_pid, signal.SIGKILL)

    until = time.monotonic() + LIMIT
    number = 5
    while len(list(tmp_path.iterdir())) < 2:
        frame = picture(number)
        fan.offer(answer(frame), frame)
        number += 1
        assert time.monotonic() < until
        time.sleep(0.05)
    fan.close()

    assert len(times(path)) >= 4  # the last picture may wait for the next one's time
    assert "the video writer died" in caplog.text
    assert times(path.with_stem("flight-2"))[:1] == [0.0]


@pytest.mark.root
def test_a_full_disk_ends_a_file_that_can_be_played(small_disk: Path) -> None:
    path = small_disk / "flight.mp4"
    with closing(open_sink(str(path))) as sink:
        written = 0
        with pytest.raises(OSError, match="No space left"):
            while True:
                show(sink, written, noise=True)
                written += 1

    assert 1 <= written - 1 <= len(times(path)) <= written


def test_pictures_of_another_size_and_odd_ones_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "flight.mp4"
    with closing(open_sink(f"{path}?width=64")) as sink:
        for number, size in enumerate([(97, 161), (33, 47), (200, 100)]):
            frame = picture(number, size=size)
            sink.write(answer(frame), frame)

    assert len(times(path)) == 3
    with av.open(str(path)) as opened:
        assert (opened.streams.video[0].width, opened.streams.video[0].height) == (64, 40)


def test_a_writer_that_hangs_is_killed_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = video_file(tmp_path / "flight.ts", VideoSettings())
    show(sink, 0)
    first = sink.writer_pid
    assert first is not None
    monkeypatch.setattr(sink._writer, "_limit", 0.5)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        show(sink, 1)
    assert sink.writer_pid is None  # killed: a stopped process would still be there
    show_until_taken(sink)
    sink.close()

    assert len(times(tmp_path / "flight-2.ts")) == 1


def show_until_taken(sink: VideoSink) -> None:
    until = time.monotonic() + LIMIT
    while True:
        try:
            show(sink, 2)
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Shower:
    """Gives a sink a picture now and then, as a stream does, until the block is left."""

    def __init__(self, what: str) -> None:
        self._sink = open_sink(what)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.2):
            try:
                show(self._sink, number)
            except OSError:  # nobody is there yet
                continue
            number += 1
        self._sink.close()

    def __enter__(self) -> Shower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT)


def read_picture(file: int) -> bytes:
    """The RGB of one picture."""
    pixels = b""
    while len(pixels) < 96 * 160 * 3:
        more = os.read(file, 96 * 160 * 3 - len(pixels))
        assert more, "it ended before it showed a picture"
        pixels += more
    return pixels


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a program; all are killed at the end."""
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            if shutil.which(command[0]) is None:
                pytest.skip(f"no {command[0]}: build_tools/test_packages.sh installs it")
            program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(program.wait)
            stack.callback(program.kill)
            return program

        yield start


def test_a_ground_station_shows_rtp_as_it_would_a_drone_s(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    """The pipeline is that of QGroundControl's UDP h.264: depayload, parse, decode."""
    inspected = shutil.which("gst-inspect-1.0")
    if inspected and subprocess.run([inspected, "avdec_h264"], capture_output=True).returncode:
        pytest.skip("no gstreamer1.0-libav: build_tools/test_packages.sh installs it")
    port = free_port()
    caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
    widget = started(
        "gst-launch-1.0", "-q", "udpsrc", f"port={port}", f"caps={caps}", "num-buffers=200", "!",
        "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "videoconvert", "!",
        "video/x-raw,format=RGB", "!", "identity", "eos-after=4", "!", "fdsink",
    )  # fmt: skip
    assert widget.stdout is not None
    with Shower(f"rtp://127.0.0.1:{port}?fps=10"):
        pixels = read_picture(widget.stdout.fileno())

    rgb = np.frombuffer(pixels, np.uint8).reshape(96, 160, 3)
    assert 30 < int(rgb[5, 150].mean()) < 200  # the grey of a picture
    assert rgb[20:80, 20, 0].max() > 150  # the box


def test_mpeg_ts_over_udp_can_be_watched(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    port = free_port()
    player = started(
        "ffprobe", "-v", "error", "-read_intervals", "%+#5", "-show_entries",
        "frame=width,height", "-of", "csv=p=0", f"udp://127.0.0.1:{port}?timeout=100000000",
    )  # fmt: skip
    assert player.stdout is not None
    with Shower(f"udp://127.0.0.1:{port}?fps=10"):
        assert player.stdout.readline().startswith("160,96")


def test_video_is_pushed_to_an_rtsp_server_with_a_password_that_nobody_sees(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    port = free_port(socket.SOCK_STREAM)
    server = started(
        "ffprobe", "-v", "error", "-rtsp_flags", "listen", "-read_intervals", "%+#5",
        "-show_entries", "frame=width,height", "-of", "csv=p=0", f"rtsp://127.0.0.1:{port}/live",
    )  # fmt: skip
    assert server.stdout is not None
    with Shower(f"rtsp://me:s3cret@127.0.0.1:{port}/live?fps=10") as shower:
        assert server.stdout.readline().startswith("160,96")
        pid = shower._sink.writer_pid  # type: ignore[attr-defined]
        assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "s3cret" not in shower._sink.name


@pytest.mark.rtsp
def test_others_may_come_for_the_video_with_the_password_and_only_once_it_is_served(
    started: Callable[..., subprocess.Popen[str]],
) -> None:
    port = free_port(socket.SOCK_STREAM)
    url = f"127.0.0.1:{port}/uav1"

    def probe(login: str) -> subprocess.Popen[str]:
        shown = ["-read_intervals", "%+#5", "-show_entries", "frame=width,height", "-of", "csv=p=0"]
        return started(
            "ffprobe", "-v", "quiet", "-rtsp_transport", "tcp", *shown, f"rtsp://{login}{url}"
        )

    with Shower(f"rtsp://me:s3cret@{url}?serve=yes&fps=10") as shower:
        sink = shower._sink
        assert isinstance(sink, ServedVideo) and "s3cret" not in sink.name
        assert b"s3cret" not in Path(f"/proc/{sink.server_pid}/cmdline").read_bytes()
        with pytest.raises(InputError, match="is the port taken"):
            open_sink(f"rtsp://{url}?serve=yes")
        assert probe("me:s3cret@").communicate(timeout=LIMIT)[0].startswith("160,96")
        assert probe("").wait(LIMIT) != 0

        died = sink.server_pid
        os.kill(died, signal.SIGKILL)
        until = time.monotonic() + LIMIT
        while not probe("me:s3cret@").communicate(timeout=LIMIT)[0].startswith("160,96"):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert sink.server_pid != died
        last = sink.server_pid
    assert not Path(f"/proc/{last}").exists()


def test_a_peer_that_accepts_and_says_nothing_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PyAV would hold this whole process until it is killed: the reason for a child."""
    monkeypatch.setattr(video, "OPENING", 3.0)
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = open_sink(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live")
        other = threading.Event()

        class Counter:
            name = "counter"
            wants_frames = False

            def write(self, event: object, frame: object) -> None:
                seen.append(len(seen))
                if len(seen) == 20:
                    other.set()

            def close(self) -> None: ...

        fan = Fan([sink, Counter()], patience=LIMIT)
        for number in range(20):
            frame = picture(number)
            fan.offer(answer(frame), frame)
        assert other.wait(LIMIT)
        fan.close()

    assert "takes nothing" in caplog.text or "takes no pictures" in caplog.text
    counts = fan.counts[sink.name]
    assert counts.written == 0 and sum(counts.lost.values()) == 20


def test_a_second_source_does_not_come_between_the_pictures_of_the_first(tmp_path: Path) -> None:
    with closing(open_sink(f"{tmp_path}/flight.ts")) as sink:
        for number in range(3):
            for source in ("cam", "other cam"):
                frame = Frame(picture(number).rgb, number / 2, number, source=source)
                sink.write(answer(frame), frame)

    assert [len(times(path)) for path in sorted(tmp_path.iterdir())] == [3, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"flight.ts", "flight.other-cam.ts"}
