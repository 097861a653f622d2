"""Live video from real senders on this machine, which die and come back."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skyeye_edge.core.frame import SourceChange
from tests.integration.live.watching import (
    HERE,
    LIMIT,
    Sender,
    Watcher,
    check_counts,
    has_in_order,
    readers,
    wait_until,
)


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
    assert "the sender speaks RTP with H.264" in changes[1].cause
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
