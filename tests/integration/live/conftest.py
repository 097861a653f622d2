"""Senders on this machine, and whoever watches them; all are ended with the test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.live.watching import HERE, Sender, Watcher


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
def gst_sender(started: Callable[..., Sender], port: int) -> Callable[..., Sender]:
    """A function that sends a test picture to `port` through the rest of a GStreamer pipeline.

    20 pictures a second, 160x96, a key frame every half second.
    """
    picture = (
        "videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=20/1,format=I420"
    )

    def start(rest: str, host: str = "127.0.0.1") -> Sender:
        pipeline = f"{picture} ! {rest} ! udpsink host={host} port={port}"
        return started("gst-launch-1.0", *pipeline.split())

    return start


@pytest.fixture
def udp_sender(started: Callable[..., Sender], port: int) -> Callable[[], Sender]:
    """A function that starts a camera sending to `port`."""
    return lambda: started(sys.executable, HERE / "udp_sender.py", f"udp://127.0.0.1:{port}")


@pytest.fixture
def rtsp_server(started: Callable[..., Sender], port: int) -> Callable[..., Sender]:
    """A function that starts an RTSP camera on `port`, with the system's Python."""
    return lambda *login: started("/usr/bin/python3", HERE / "rtsp_server.py", str(port), *login)


@pytest.fixture
def watched() -> Iterator[Callable[..., Watcher]]:
    """A function that watches an address; everything is closed at the end."""
    with ExitStack() as stack:

        def watch(url: str, every: float = 0.0, **options: str) -> Watcher:
            watcher = Watcher(url, every, options)
            stack.callback(watcher.source.close)
            return watcher

        yield watch
