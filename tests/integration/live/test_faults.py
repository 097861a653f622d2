"""What radio links and senders do to live video, and that the stream lives on and says so."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sources import open_source
from tests.integration.live.relay import Link, Relay
from tests.integration.live.watching import (
    HERE,
    Sender,
    Watcher,
    check_counts,
    has_in_order,
    readers,
    wait_until,
)

H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
PAYLOADS = {
    "rtp": f"{H264} ! rtph264pay config-interval=1 mtu=500",
    "udp": f"{H264} ! mpegtsmux alignment=2",
}
LINKS = {
    "1 % lost": Link(loss=0.01),
    "5 % lost": Link(loss=0.05),
    "20 % lost": Link(loss=0.2),
    "10 % reordered": Link(reordered=0.1),
    "300 ms jitter": Link(jitter=0.3),
    "5 % corrupted": Link(corrupted=0.05),
}

SHORT = ("5 % lost", "10 % reordered")  # also in the short run


@pytest.fixture
def relayed(port: int) -> Iterator[Callable[[Link], Relay]]:
    """A function that puts a link before `port`; its own port is where to send to."""
    with ExitStack() as stack:
        yield lambda link: stack.enter_context(Relay(0, port, link))


@pytest.fixture
def send(started: Callable[..., Sender]) -> Callable[[str, int], Sender]:
    """A function that sends a moving picture through the rest of a pipeline to a port."""

    def start(rest: str, port: int) -> Sender:
        picture = "video/x-raw,width=320,height=192,framerate=20/1,format=I420"
        pipeline = (
            f"videotestsrc is-live=true pattern=ball ! {picture} ! {rest} "
            f"! udpsink host=127.0.0.1 port={port}"
        )
        return started("gst-launch-1.0", *pipeline.split())

    return start


@pytest.mark.gstreamer
@pytest.mark.parametrize(
    ("scheme", "link"),
    [
        pytest.param(
            scheme, link, id=f"{name}, {scheme}", marks=[pytest.mark.slow] * (name not in SHORT)
        )
        for scheme in PAYLOADS
        for name, link in LINKS.items()
    ],
)
def test_a_bad_link_is_lived_through_and_counted(
    scheme: str,
    link: Link,
    relayed: Callable[[Link], Relay],
    send: Callable[[str, int], Sender],
    watched: Callable[..., Watcher],
    port: int,
) -> None:
    relay = relayed(Link())
    send(PAYLOADS[scheme], relay.port)
    watcher = watched(f"{scheme}://127.0.0.1:{port}")
    watcher.wait_for_frames(10)

    relay.link = link
    watcher.wait_for_frames(40)
    relay.link = Link()
    watcher.wait(lambda: not watcher.frames[-1].damaged)
    watcher.wait_for_frames(10)

    watcher.stop()
    check_counts(watcher)
    assert {frame.size for frame in watcher.frames} == {(320, 192)}


SECONDS = 2  # of each clip
CLIPS = {
    "small": "testsrc=size=160x96:rate=20 -c:v libx264",
    "large": "testsrc=size=320x192:rate=20 -c:v libx264",
    "moved": "testsrc=size=320x192:rate=20 -c:v libx264 -mpegts_start_pid 0x200",
    "hevc": "testsrc=size=320x192:rate=20 -c:v libx265 -x265-params log-level=error:keyint=10",
}


class Drone:
    """Sends clips as MPEG-TS, each behind the one before, in time."""

    def __init__(self, folder: Path, port: int, begins: float) -> None:
        self._folder, self._place, self._begins = folder, ("127.0.0.1", port), begins

    def send(self, *names: str) -> None:
        """The next clips."""
        pieces = [piece for name in names for piece in self._pieces(name)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for piece in pieces:
                out.sendto(piece, self._place)
                Event().wait(SECONDS * len(names) / len(pieces))

    def _pieces(self, name: str) -> list[bytes]:
        path = self._folder / f"{self._begins}.ts"
        command = (
            f"ffmpeg -nostdin -v error -f lavfi -i {CLIPS[name]} -t {SECONDS} -g 10 "
            f"-tune zerolatency -preset ultrafast -muxdelay 0 -output_ts_offset {self._begins} "
            f"-f mpegts {path}"
        )
        subprocess.run(command.split(), check=True)
        self._begins += SECONDS
        data = path.read_bytes()
        return [data[place : place + 1316] for place in range(0, len(data), 1316)]


def sizes(watcher: Watcher) -> set[tuple[int, int]]:
    return {frame.size for frame in watcher.frames}


def watch_change(watcher: Watcher, drone: Drone, to: str) -> None:
    """Send small pictures and then others, each until they are seen."""
    while (160, 96) not in sizes(watcher):
        drone.send("small")
    while (320, 192) not in sizes(watcher):
        drone.send(to)
    watcher.stop()
    check_counts(watcher)


@pytest.mark.ffprobe
def test_a_change_of_size_in_mid_stream_changes_the_frames(
    watched: Callable[..., Watcher], port: int, tmp_path: Path
) -> None:
    watcher = watched(f"udp://127.0.0.1:{port}")

    watch_change(watcher, Drone(tmp_path, port, 0.0), "large")

    assert sizes(watcher) == {(160, 96), (320, 192)}


@pytest.mark.ffprobe
def test_a_change_of_codec_in_mid_stream_is_noticed_and_opened_anew(
    watched: Callable[..., Watcher], port: int, tmp_path: Path
) -> None:
    watcher = watched(f"udp://127.0.0.1:{port}")

    watch_change(watcher, Drone(tmp_path, port, 0.0), "hevc")

    assert "its codec may have changed" in " ".join(watcher.causes)
    assert has_in_order(watcher.states, ["LIVE", "RECONNECTING", "LIVE"])


@pytest.mark.gstreamer
def test_a_sender_of_rtp_that_comes_back_with_another_codec_is_opened_anew(
    send: Callable[[str, int], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    sender = send(PAYLOADS["rtp"], port)
    watcher = watched(f"rtp://127.0.0.1:{port}")
    watcher.wait_for_frames(5)
    sender.kill()
    send("x265enc tune=zerolatency key-int-max=10 ! rtph265pay config-interval=1", port)

    watcher.wait(lambda: watcher.frames[-1].epoch > 0)
    watcher.wait_for_frames(5)

    watcher.stop()
    check_counts(watcher)
    assert any("codec" in cause for cause in watcher.causes)


@pytest.mark.slow
@pytest.mark.ffprobe
def test_a_video_that_moves_to_another_place_in_the_stream_is_opened_anew(
    watched: Callable[..., Watcher], port: int, tmp_path: Path
) -> None:
    drone, watcher = Drone(tmp_path, port, 0.0), watched(f"udp://127.0.0.1:{port}")
    while (160, 96) not in sizes(watcher):
        drone.send("small")
    while (320, 192) not in sizes(watcher):
        drone.send("moved")

    watcher.stop()
    check_counts(watcher)


@pytest.mark.ffprobe
def test_a_stream_whose_33_bits_wrap_is_no_new_one(
    watched: Callable[..., Watcher], port: int, tmp_path: Path
) -> None:
    wrap = 2**33 / 90_000
    drone, watcher = Drone(tmp_path, port, wrap - 1.5 * SECONDS), watched(f"udp://127.0.0.1:{port}")
    drone.send("small", "small", "small")

    watcher.stop()
    check_counts(watcher)
    assert {frame.epoch for frame in watcher.frames} == {0}
    assert watcher.frames[-1].time > SECONDS


@pytest.mark.rtsp
@pytest.mark.gstreamer
@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scheme", ["rtp", "rtsp"])
def test_a_sender_that_is_killed_and_started_again_is_found_each_time(
    scheme: str,
    times: int,
    send: Callable[[str, int], Sender],
    started: Callable[..., Sender],
    watched: Callable[..., Watcher],
    port: int,
) -> None:
    def begin() -> Sender:
        if scheme == "rtp":
            return send(PAYLOADS["rtp"], port)
        return started("/usr/bin/python3", HERE / "rtsp_server.py", str(port))

    sender = begin()
    watcher = watched(f"{scheme}://127.0.0.1:{port}" + "/camera" * (scheme == "rtsp"))
    watcher.wait_for_frames(5)
    descriptors, threads = descriptors_open(), threading.active_count()

    for _ in range(times):
        sender.kill()
        sender.wait()
        watcher.wait(lambda: watcher.states[-1] == "RECONNECTING")
        sender = begin()
        watcher.wait(lambda: watcher.states[-1] == "LIVE")
        watcher.wait_for_frames(3)

    assert len(readers()) == 1
    assert descriptors_open() <= descriptors + times  # each sender has a pipe of its own
    assert threading.active_count() == threads
    watcher.stop()
    check_counts(watcher)
    assert watcher.frames[-1].epoch >= times
    assert readers() == []


@pytest.mark.gstreamer
def test_a_sender_that_freezes_is_stalled_then_lost_and_live_when_it_goes_on(
    send: Callable[[str, int], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    sender = send(PAYLOADS["rtp"], port)
    watcher = watched(f"rtp://127.0.0.1:{port}")
    watcher.wait_for_frames(5)

    sender.send_signal(signal.SIGSTOP)
    watcher.wait_for_states("CONNECTING", "LIVE", "STALLED", "RECONNECTING")
    sender.send_signal(signal.SIGCONT)
    watcher.wait_for_states("CONNECTING", "LIVE", "STALLED", "RECONNECTING", "LIVE")
    watcher.wait_for_frames(5)

    watcher.stop()
    check_counts(watcher)


@pytest.mark.srt
def test_nothing_is_left_of_a_watch_that_is_killed(port: int, tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "skyeye_edge", "watch", f"srt://127.0.0.1:{port}"]
    options = ["--source-option", "mode=listener", "--bundle", str(tiny_bundle)]

    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as watch:
        try:
            wait_until(lambda: len(descendants(watch.pid)) >= 2)  # a reader, and its program
            left = descendants(watch.pid)
        finally:
            watch.kill()

    wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in left))
    assert len(left) >= 2


def descendants(process: int) -> list[int]:
    """Processes that one has started, and those that they have."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for each in lists for child in each.read_text().split()]
    return [*children, *(each for child in children for each in descendants(child))]


@pytest.mark.netns
@pytest.mark.rtsp
@pytest.mark.parametrize("scheme", ["rtp", "rtsp"])
def test_a_network_that_goes_down_and_up_is_lived_through(scheme: str) -> None:
    script = HERE / "live" / "link_down.py"

    done = subprocess.run(
        ["unshare", "-rn", sys.executable, script, scheme], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    states = done.stdout.split()
    assert has_in_order(states, ["LIVE", "STALLED", "RECONNECTING", "LIVE", "ENDED"])


def test_memory_does_not_grow_while_nobody_takes_frames(
    udp_sender: Callable[[], Sender], port: int
) -> None:
    udp_sender()
    source = open_source(f"udp://127.0.0.1:{port}")
    items = source.items(0.0)
    while not isinstance(next(items), Frame):
        pass
    (reader,) = readers()
    before = memory(os.getpid()), memory(reader)

    Event().wait(3.0)  # nobody asks for a frame, of the 60 that come meanwhile
    after = memory(os.getpid()), memory(reader)
    gone = next(item for item in items if isinstance(item, Frame))
    source.close()

    assert gone.before.dropped["busy"] > 10
    assert max(new - old for old, new in zip(before, after, strict=True)) < 8 << 20


def descriptors_open() -> int:
    """How many files this process holds open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def memory(process: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
