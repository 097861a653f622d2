"""Live video from real senders on this machine, which die and come back."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources.live import LiveSource

HERE = Path(__file__).resolve().parent
LIMIT = 300.0  # seconds after which something hangs: no machine is so busy
Sender = subprocess.Popen[bytes]


@pytest.fixture
def port() -> int:
    """A port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def started() -> Iterator[Callable[..., Sender]]:
    """A function that starts a program and waits for its first line; all are killed at the end."""
    with ExitStack() as stack:

        def start(*command: str | Path) -> Sender:
            program = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE)
            stack.callback(program.wait)
            stack.callback(program.kill)
            assert program.stdout is not None
            assert program.stdout.readline(), "it ended before it began"
            return program

        yield start


@pytest.fixture
def udp_sender(started: Callable[..., Sender], port: int) -> Callable[[], Sender]:
    """A function that starts a camera sending to `port`."""
    return lambda: started(sys.executable, HERE / "udp_sender.py", f"udp://127.0.0.1:{port}")


@pytest.fixture
def rtsp_server(started: Callable[..., Sender], port: int) -> Callable[..., Sender]:
    """A function that starts an RTSP camera on `port`, with the system's Python."""
    return lambda *login: started("/usr/bin/python3", HERE / "rtsp_server.py", str(port), *login)


def has_in_order(all_states: Iterable[str], wanted: Iterable[str]) -> bool:
    rest = iter(all_states)
    return all(state in rest for state in wanted)


class Watcher:
    """Reads a source in a thread, as a stream does, and keeps what it gave without the pixels."""

    def __init__(self, url: str, every: float) -> None:
        self.source = LiveSource(url)
        self.items: list[Frame | SourceChange] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self._thread.start()

    def _watch(self, every: float) -> None:
        for item in self.source.items(every):
            with self._changed:
                self.items.append(item)
                self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, LIMIT), self.states

    def wait_for_states(self, *states: str) -> None:
        """Until these have come in this order; a busy machine may see others between them."""
        self.wait(lambda: has_in_order(self.states, states))

    def wait_for_frames(self, number: int) -> None:
        known = len(self.frames)
        self.wait(lambda: len(self.frames) >= known + number)

    @property
    def states(self) -> list[str]:
        return [item.state for item in self.items if isinstance(item, SourceChange)]

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    def stop(self) -> None:
        """Until it has ended."""
        self.source.stop()
        self._thread.join(LIMIT)
        self.source.close()
        assert self.states[-1] == "ENDED"


@pytest.fixture
def watched() -> Iterator[Callable[..., Watcher]]:
    """A function that watches an address; everything is closed at the end."""
    with ExitStack() as stack:

        def watch(url: str, every: float = 0.0) -> Watcher:
            watcher = Watcher(url, every)
            stack.callback(watcher.source.close)
            return watcher

        yield watch


def readers() -> list[int]:
    """Processes that this one started to read live sources and that still run."""
    lists = Path("/proc/self/task").glob("*/children")  # of the thread that started them
    own = [pid for children in lists for pid in children.read_text().split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in own}
    return [int(pid) for pid, command in commands.items() if b"live_reader" in command]


def check_counts(watcher: Watcher) -> None:
    """Every frame was answered, skipped or dropped; none was counted twice."""
    counts = Counts()
    for item in watcher.items:
        counts += item.before
    frames = watcher.frames
    assert counts.received == counts.skipped + sum(counts.dropped.values())
    received = counts.received + len(frames)
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert received >= indices[-1] + 1
    times = [frame.time for frame in frames]
    assert times == sorted(times)


def test_a_sender_that_dies_and_comes_back_is_found_again(
    udp_sender: Callable[[], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    sender = udp_sender()
    watcher = watched(f"udp://127.0.0.1:{port}", 0.5)
    watcher.wait_for_states("CONNECTING", "LIVE")
    watcher.wait_for_frames(3)
    sender.kill()
    watcher.wait_for_states("CONNECTING", "LIVE", "STALLED", "RECONNECTING")
    udp_sender()
    watcher.wait_for_states("CONNECTING", "LIVE", "STALLED", "RECONNECTING", "LIVE")
    watcher.wait_for_frames(3)

    watcher.stop()

    expected = ["CONNECTING", "LIVE", "STALLED", "RECONNECTING", "LIVE", "ENDED"]
    assert has_in_order(watcher.states, expected)
    assert {frame.epoch for frame in watcher.frames} >= {0, 1}
    assert {frame.size for frame in watcher.frames} == {(160, 96)}
    check_counts(watcher)
    assert readers() == []


def test_a_sender_that_restarts_at_once_begins_a_new_epoch_without_a_gap(
    udp_sender: Callable[[], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    sender = udp_sender()
    watcher = watched(f"udp://127.0.0.1:{port}")
    watcher.wait_for_frames(40)
    sender.kill()
    udp_sender()
    watcher.wait(lambda: watcher.frames[-1].epoch == 1)
    watcher.wait_for_frames(10)

    watcher.stop()

    check_counts(watcher)


@pytest.mark.rtsp
def test_a_camera_that_is_switched_on_later_and_off_and_on_again_is_watched(
    rtsp_server: Callable[[], Sender],
    watched: Callable[..., Watcher],
    port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    watcher = watched(f"rtsp://admin:pass@127.0.0.1:{port}/camera?token=pass")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")
    server = rtsp_server()
    watcher.wait_for_states("CONNECTING", "RECONNECTING", "LIVE")
    watcher.wait_for_frames(10)
    server.kill()
    watcher.wait_for_states("CONNECTING", "RECONNECTING", "LIVE", "RECONNECTING")
    rtsp_server()
    watcher.wait(lambda: watcher.states[-1] == "LIVE")
    watcher.wait_for_frames(10)

    watcher.stop()

    changes = [item for item in watcher.items if isinstance(item, SourceChange)]
    causes = [change.cause for change in changes]
    assert "connection refused" in causes
    check_counts(watcher)
    said = caplog.text + " ".join(causes) + watcher.source.name
    assert "127.0.0.1" in said
    assert "pass" not in said


@pytest.mark.rtsp
@pytest.mark.parametrize("method", ["basic", "digest"])
def test_a_camera_lets_us_in_with_a_password_of_reserved_characters(
    method: str, rtsp_server: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    password = "kiwi/plum?fig#q@b:100% é;&=+"
    rtsp_server(method, "admin", password)

    watcher = watched(f"rtsp://admin:{password}@127.0.0.1:{port}/camera")
    watcher.wait_for_frames(3)

    assert watcher.source.name == f"rtsp://127.0.0.1:{port}/camera"
    watcher.stop()


@pytest.mark.rtsp
@pytest.mark.parametrize(
    ("login", "path", "cause"),
    [
        ("admin:kiwi/plum@", "camera", "the camera refuses this user name or password"),
        ("", "camera", "the camera asks for a user name and password"),
        ("admin:right@", "kiwi", "the camera has no such stream"),
    ],
)
def test_why_a_camera_shows_nothing_is_said_in_words(
    login: str,
    path: str,
    cause: str,
    rtsp_server: Callable[..., Sender],
    watched: Callable[..., Watcher],
    port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    rtsp_server("basic", "admin", "right")

    watcher = watched(f"rtsp://{login}127.0.0.1:{port}/{path}")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")

    watcher.stop()  # and does not wait for the next try, half a minute away
    changes = [item for item in watcher.items if isinstance(item, SourceChange)]
    assert changes[1].cause.startswith(cause)
    assert "plum" not in f"{changes}{caplog.text}"


def test_a_sender_of_rtp_is_named(
    started: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    started(sys.executable, HERE / "udp_sender.py", f"rtp://127.0.0.1:{port}")

    watcher = watched(f"udp://127.0.0.1:{port}")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")

    watcher.stop()
    changes = [item for item in watcher.items if isinstance(item, SourceChange)]
    assert "the sender speaks RTP" in changes[1].cause
    assert watcher.frames == []


@pytest.mark.rtsp
def test_nothing_that_watch_says_or_writes_or_starts_shows_a_part_of_a_password(
    rtsp_server: Callable[..., Sender], port: int, tiny_bundle: Path, tmp_path: Path
) -> None:
    words = ("kiwi", "plum", "quince", "papaya")
    camera = rtsp_server("digest", "admin", "kiwi/plum")
    url = f"rtsp://admin:kiwi/plum@127.0.0.1:{port}/camera?channel=1&pwd=quince#papaya"
    options = ("--every", "0.2", "--json", "--debug", "-o", "out", "--bundle", str(tiny_bundle))
    command = [sys.executable, "-m", "skyeye_edge", "watch", url, *options]

    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        wait_until(lambda: '"answer"' in written(tmp_path))
        camera.kill()
        wait_until(lambda: "RECONNECTING" in written(tmp_path))
        started = Path(f"/proc/{job.pid}/task").glob("*/children")
        children = [pid for list_ in started for pid in list_.read_text().split()]
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
        job.send_signal(signal.SIGINT)
        said, logged = job.communicate(timeout=LIMIT)

    assert "rtsp://127.0.0.1" in said
    assert "rtsp://127.0.0.1" in logged
    everything = [said, logged, written(tmp_path), *commands, *map(str, tmp_path.rglob("*"))]
    assert [word for word in words if word in "".join(everything)] == []


def written(folder: Path) -> str:
    """The content of every file below a folder."""
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool]) -> None:
    """Until something holds that only a file can tell; fails after the limit."""
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_reader_that_hangs_is_killed_and_replaced(
    udp_sender: Callable[[], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    udp_sender()
    watcher = watched(f"udp://127.0.0.1:{port}", 0.5)
    watcher.wait_for_frames(1)
    (reader,) = readers()

    os.kill(reader, signal.SIGSTOP)
    watcher.wait_for_states("CONNECTING", "LIVE", "STALLED", "RECONNECTING", "LIVE")
    watcher.wait_for_frames(1)

    assert reader not in readers()
    watcher.stop()
    check_counts(watcher)


def test_two_senders_on_one_port_are_noticed(
    udp_sender: Callable[[], Sender],
    watched: Callable[..., Watcher],
    port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    udp_sender()
    watcher = watched(f"udp://127.0.0.1:{port}")
    watcher.wait_for_frames(5)
    udp_sender()
    watcher.wait(lambda: "two senders" in caplog.text)

    watcher.stop()

    assert caplog.text.count("two senders") == 1


@pytest.mark.parametrize("url", ["udp://127.0.0.1:{}", "rtsp://127.0.0.1:{}/camera"])
def test_a_source_that_never_comes_still_ends(
    url: str, watched: Callable[..., Watcher], port: int
) -> None:
    watcher = watched(url.format(port))
    watcher.wait_for_states("CONNECTING")

    watcher.stop()

    assert watcher.frames == []
    assert readers() == []


def test_a_peer_that_accepts_and_says_nothing_is_given_up_and_tried_again(
    watched: Callable[..., Watcher], port: int
) -> None:
    with socket.create_server(("127.0.0.1", port)):
        watcher = watched(f"rtsp://127.0.0.1:{port}/camera")
        watcher.wait_for_states("CONNECTING", "RECONNECTING")

        watcher.stop()

    assert watcher.frames == []
    assert watcher.states[-1] == "ENDED"
