"""JSON Lines of a stream: what a full disk, a kill, a power cut and long flights make of them."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError, OutputError
from skyeye_edge.core.events import Event, build_state, parse_event
from skyeye_edge.core.frame import Frame, SourceChange
from skyeye_edge.runtime.run_record import build_record
from skyeye_edge.runtime.sinks import open_sink
from skyeye_edge.runtime.sinks.fan import Fan
from skyeye_edge.runtime.sinks.jsonl import JsonlSettings, JsonlStreamSink

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
LIMIT = 60.0  # seconds that anything may take on a busy machine


def event(number: int) -> Event:
    return build_state(SourceChange("LIVE", f"{number:06}"), "cam", UTC, nonce=f"{number}")


LINE = len(event(0).to_json()) + 1  # bytes


def numbers(*paths: Path) -> list[int]:
    """The events in files, by their number; every line is whole."""
    found = [parse_event(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    return [int(getattr(each, "cause", "-1")) for each in found]


@pytest.fixture
def room() -> Iterator[Callable[[int], None]]:
    """A function that limits how long a file may grow, as a full disk does; no root is needed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Told(JsonlStreamSink):
    """Says when it has failed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, JsonlSettings(spool=100))
        self.failed = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        try:
            super().write(event, frame)
        except Exception:
            self.failed.set()
            raise


def test_events_that_find_no_room_wait_and_are_written_whole_when_there_is_some(
    tmp_path: Path, room: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    sink = Told(path)
    fan = Fan([sink], patience=LIMIT)
    room(LINE + LINE // 2)
    for number in range(4):
        fan.offer(event(number), None)
    assert sink.failed.wait(LIMIT)
    assert numbers(path) == [0]  # nothing torn
    room(100 * LINE)
    fan.close()

    assert numbers(path) == [0, 1, 2, 3]
    assert fan.losses == {}
    assert "watching goes on" in caplog.messages[0] and "--resume" not in caplog.messages[0]
    assert "works again; 0 events are missing so far" in caplog.messages[1]


def test_what_finds_no_room_to_the_end_is_missed(
    tmp_path: Path, room: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    fan = Fan([JsonlStreamSink(tmp_path / "events.jsonl")], patience=LIMIT)
    room(LINE // 2)
    fan.offer(event(0), None)
    fan.offer(event(1), None)
    fan.close()

    assert "2 events are missing (2 failed)" in caplog.messages[-1]
    assert (tmp_path / "events.jsonl").read_text() == ""
    assert fan.incomplete == (str(tmp_path / "events.jsonl"),)


@pytest.mark.root
def test_a_disk_that_is_full_is_written_to_again_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "events.jsonl"
    sink = Told(path)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError) as full:
        while True:
            file.write(b"x" * 4096)
    assert full.value.errno == errno.ENOSPC
    fan = Fan([sink], patience=LIMIT)
    for number in range(30):
        fan.offer(event(number), None)
    assert sink.failed.wait(LIMIT)
    filler.unlink()
    fan.close()

    assert numbers(path) == list(range(30))


def test_what_a_kill_has_torn_is_cut_off_before_lines_are_added(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with closing(open_sink(f"{path}")) as sink:
        sink.write(event(0), None)
    path.write_bytes(path.read_bytes() + event(1).to_json().encode()[:30])

    with closing(open_sink(f"{path}")) as sink:
        sink.write(event(2), None)

    assert numbers(path) == [0, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("my notes\n", "something else than events", id="notes"),
        pytest.param(
            build_record(
                "a.mp4", None, [], {}, min_score=0, every=1, clip=1, keep_damaged=False
            ).to_json(UTC)
            + "\n",
            "a recording",
            id="a recording's file",
        ),
    ],
)
def test_what_holds_something_else_is_not_added_to(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(content)

    with pytest.raises(OutputError, match=message):
        open_sink(f"{path}")

    assert path.read_text() == content


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with (
        closing(open_sink(f"{tmp_path}/events.jsonl")),
        pytest.raises(OutputError, match="another run"),
    ):
        open_sink(f"{tmp_path}/events.jsonl")


def test_a_file_that_is_taken_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with closing(open_sink(f"{path}")) as sink:
        sink.write(event(0), None)
        path.rename(tmp_path / "old.jsonl")
        sink.write(event(1), None)

    assert (numbers(tmp_path / "old.jsonl"), numbers(path)) == ([0], [1])


def test_long_flights_are_cut_into_files_whose_names_sort(tmp_path: Path) -> None:
    mib = (2 * LINE - 1) / 2**20  # two lines each
    for first in (0, 5):  # a second run goes on behind the first
        with closing(open_sink(f"{tmp_path}/flight.jsonl", rotate_mib=mib)) as sink:
            for number in range(first, first + 5):
                sink.write(event(number), None)

    files = sorted(tmp_path.glob("*.jsonl"))
    assert [file.name for file in files] == [f"flight.0000{n}.jsonl" for n in range(1, 7)]
    assert numbers(*files) == list(range(10))


def test_of_many_files_the_newest_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "flight.00000.jsonl").write_text("not ours\n")
    (tmp_path / "flight.mine.jsonl").write_text("not ours\n")
    settings = JsonlSettings(rotate_mib=1 / 2**20, keep=2)
    with closing(JsonlStreamSink(tmp_path / "flight.jsonl", settings)) as sink:
        for number in range(5):
            sink.write(event(number), None)

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "flight.00000.jsonl", "flight.00004.jsonl", "flight.00005.jsonl", "flight.mine.jsonl",
    ]  # fmt: skip


def test_files_end_after_some_minutes(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "flight.jsonl"
    with closing(
        JsonlStreamSink(path, JsonlSettings(rotate_minutes=10), clock=lambda: now)
    ) as sink:
        for now in (0.0, 599.0, 600.0, 1199.0, 1300.0):
            sink.write(event(int(now)), None)

    assert [numbers(file) for file in sorted(tmp_path.iterdir())] == [[0, 599], [600, 1199], [1300]]


@pytest.mark.parametrize(
    ("policy", "synced"),
    [("never", []), ("each", [0, 1, 2, 3]), (2.0, [2])],
)
def test_lines_reach_the_disk_itself_when_it_was_asked_for(
    policy: str | float, synced: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls = 0.0, []
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(int(now)))
    path = tmp_path / "events.jsonl"
    settings = JsonlSettings(fsync=policy)  # type: ignore[arg-type]
    sink = JsonlStreamSink(path, settings, clock=lambda: now)
    for now in (0.0, 1.0, 2.0, 3.0):
        sink.write(event(int(now)), None)

    assert calls == synced
    sink.close()
    assert calls == [*synced, 3]  # the end is always put there


def test_keeping_some_files_means_nothing_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keep=N needs"):
        open_sink(f"{tmp_path}/a.jsonl?keep=3")
