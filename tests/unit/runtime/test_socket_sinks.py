"""Events over sockets: to readers that come late, read slowly, or go."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from skyeye_edge.core.errors import InputError, OutputError
from skyeye_edge.core.events import Event, build_state, build_summary
from skyeye_edge.core.frame import Counts, SourceChange, State
from skyeye_edge.runtime.sinks import open_sink
from skyeye_edge.runtime.sinks.unix_socket import UnixSocketSettings, UnixSocketSink

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
LIMIT = 60.0


def state(what: State, source: str = "cam") -> Event:
    return build_state(SourceChange(what, "x" * 200), source, UTC)


SUMMARY = build_summary(Counts(2), 2, UTC, source="cam")


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory() as folder:  # pytest's own are too deep for a socket's path
        yield Path(folder) / "events.sock"


def test_each_event_is_one_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.bind(("127.0.0.1", 0))
        reader.settimeout(LIMIT)
        with closing(open_sink(f"udp+json://127.0.0.1:{reader.getsockname()[1]}")) as sink:
            sink.write(state("LIVE"), None)
            sink.write(SUMMARY, None)

        got = [json.loads(reader.recv(65536)) for _ in range(2)]

    assert got == [state("LIVE").to_dict(), SUMMARY.to_dict()]


def test_nobody_has_to_listen_to_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.bind(("127.0.0.1", 0))
        port = reader.getsockname()[1]
    with closing(open_sink(f"udp+json://127.0.0.1:{port}")) as sink:
        for _ in range(3):  # not connected: what the other side refuses is never heard of
            sink.write(SUMMARY, None)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(("127.0.0.1", port))
            late.settimeout(LIMIT)
            sink.write(state("LIVE"), None)

            assert json.loads(late.recv(65536)) == state("LIVE").to_dict()


def test_a_host_that_does_not_exist_is_a_wrong_request() -> None:
    with pytest.raises(InputError, match="no such host"):
        open_sink("udp+json://nobody.invalid:5700")
    with pytest.raises(InputError, match="port is missing"):
        open_sink("udp+json://127.0.0.1")


class Reader:
    """A program that reads lines."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.socket = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        self.socket.settimeout(LIMIT)
        self.socket.connect(str(path))
        self.lines = stack.enter_context(self.socket.makefile("r", encoding="utf-8"))

    def rest(self) -> list[str]:
        return [f"{json.loads(line)['type']} {json.loads(line)['source']}" for line in self.lines]


def test_readers_that_come_late_first_hear_how_each_source_stands(path: Path) -> None:
    with ExitStack() as stack:
        sink = open_sink(f"unix:{path}")
        early = Reader(path, stack)
        sink.write(state("LIVE"), None)
        sink.write(state("CONNECTING", "cam2"), None)
        late = Reader(path, stack)
        sink.write(SUMMARY, None)
        sink.close()

        assert early.rest() == ["state cam", "state cam2", "summary cam"]
        assert late.rest() == ["state cam", "state cam2", "summary cam"]
    assert not path.exists()


def test_a_reader_that_does_not_read_is_let_go_and_costs_the_others_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        sink = UnixSocketSink(path, UnixSocketSettings(behind_kib=8))
        Reader(path, stack)
        good = Reader(path, stack)
        number = 0
        while not sink.let_go:
            sink.write(SUMMARY, None)
            assert json.loads(good.lines.readline())["type"] == "summary"
            number += 1
            assert number < 100_000
        sink.write(state("ENDED"), None)
        sink.close()

        assert good.rest() == ["state cam"]
    assert "reader 1 does not read, and is let go (1 so far)" in caplog.messages[0]


def test_a_reader_that_goes_is_forgotten(path: Path) -> None:
    sink = UnixSocketSink(path)
    with ExitStack() as stack:
        Reader(path, stack)
        sink.write(SUMMARY, None)
    for _ in range(3):
        sink.write(SUMMARY, None)
    with ExitStack() as stack:
        after = Reader(path, stack)
        sink.write(state("ENDED"), None)
        sink.close()

        assert after.rest() == ["state cam"]


def test_the_socket_of_a_killed_run_is_taken_over_and_that_of_a_living_one_is_not(
    path: Path,
) -> None:
    program = (
        "import os, signal, sys\n"
        "from skyeye_edge.runtime.sinks import open_sink\n"
        "open_sink(sys.argv[1]); print('open', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, f"unix:{path}"], capture_output=True)
    assert done.returncode == -signal.SIGKILL and path.exists()

    with (
        closing(open_sink(f"unix:{path}")),
        pytest.raises(OutputError, match="another run serves it"),
    ):
        open_sink(f"unix:{path}")

    path.write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        open_sink(f"unix:{path}")
    assert path.read_text() == "mine"


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="107 bytes"):
        open_sink(f"unix:{tmp_path}{os.sep}{'x' * 120}")
