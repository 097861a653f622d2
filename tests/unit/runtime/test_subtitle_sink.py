"""Subtitles of a stream: a valid file at every moment."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pysubs2
import pytest

from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.core.events import AnswerEvent, build_answer, build_state
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import TextResult
from skyeye_edge.runtime.sinks import open_sink
from skyeye_edge.runtime.sinks.sink import Sink

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
Shown = list[tuple[int, int, str]]


def answer(time: float, text: str, source: str = "cam") -> AnswerEvent:
    frame = Frame(np.zeros((6, 8, 3), np.uint8), time, int(time * 10), source=source)
    said = TextResult("caption", "text", text)
    return build_answer([frame], [said], Counts(1), UTC, timing_ms={}, model={})


def heartbeat(time: float, text: str) -> AnswerEvent:
    return replace(answer(time, text), frames=())


def ended(time: float, source: str = "cam") -> object:
    return build_state(SourceChange("ENDED", "end", 0, time), source, UTC)


def shown(path: Path) -> Shown:
    """What an independent reader makes of a file."""
    read = pysubs2.load(str(path), format_=path.suffix[1:])
    assert path.read_text("utf-8").endswith("\n\n")
    return [(cue.start, cue.end, cue.plaintext) for cue in read]


@pytest.fixture(params=["vtt", "srt"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"flight.{request.param}"


@pytest.fixture
def sink(path: Path) -> Iterator[Sink]:
    with closing(open_sink(str(path))) as opened:
        yield opened


def test_after_every_event_the_file_is_what_a_player_should_show(sink: Sink, path: Path) -> None:
    steps: list[tuple[AnswerEvent, Shown]] = [
        (answer(0.0, "a road"), [(0, 10_000, "a road")]),
        (answer(1.0, "a road"), [(0, 11_000, "a road")]),  # the same again is the same cue
        (heartbeat(6.0, "a road"), [(0, 16_000, "a road")]),  # it still holds
        (answer(7.5, "a <quay> --> übers"), [(0, 7_500, "a road"), (7_500, 17_500, "…")]),
        (answer(9.0, ""), [(0, 7_500, "a road"), (7_500, 9_000, "…")]),  # nothing to say
        (answer(9.5, "a road"), [(0, 7500, "a road"), (7500, 9000, "…"), (9500, 19_500, "a road")]),
    ]
    for event, wanted in steps:
        sink.write(event, None)

        found = [(start, end, "…" if "quay" in text else text) for start, end, text in shown(path)]
        assert found == wanted

    sink.write(ended(11.0), None)  # type: ignore[arg-type]
    assert shown(path)[-1] == (9_500, 11_000, "a road")
    assert path.read_text("utf-8").count("-->") == 3


def test_media_time_that_goes_back_leaves_the_cues_in_order(sink: Sink, path: Path) -> None:
    for time, text in ((5.0, "a"), (2.0, "b"), (6.0, "c")):
        sink.write(answer(time, text), None)

    assert shown(path) == [(5000, 5001, "a"), (5000, 6000, "b"), (6000, 16_000, "c")]


def test_a_cue_that_passes_the_hundredth_hour_keeps_the_file_valid(sink: Sink, path: Path) -> None:
    sink.write(answer(359_995.0, "late"), None)
    sink.write(answer(359_999.0, "later"), None)

    lines = [line for line in path.read_text("utf-8").splitlines() if "-->" in line]
    assert [line.split(" --> ")[1][:6] for line in lines] == ["100:00", "100:00"]


def test_each_source_has_a_file_of_its_own(sink: Sink, path: Path) -> None:
    for source in ("cam", "udp://@:5600"):
        sink.write(answer(1.0, f"from {source}", source), None)

    other = path.with_name(f"flight.udp-5600{path.suffix}")
    assert [text for _, _, text in shown(path)] == ["from cam"]
    assert [text for _, _, text in shown(other)] == ["from udp://@:5600"]


def test_an_earlier_flight_is_not_written_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("mine")

    with closing(open_sink(str(path))) as sink:
        sink.write(answer(0.0, "a road"), None)

    assert path.read_text() == "mine"
    assert shown(path.with_stem("flight-2")) == [(0, 10_000, "a road")]
    assert "flight-2" in caplog.text


@pytest.fixture
def room() -> Iterator[Callable[[int], None]]:
    """A function that limits how long a file may grow, as a full disk does; no root is needed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_cue_without_room_leaves_the_file_as_it_was(
    sink: Sink, path: Path, room: Callable[[int], None]
) -> None:
    sink.write(answer(0.0, "a road"), None)
    before = path.read_bytes()
    room(len(before) + 20)
    with pytest.raises(SkyEyeError, match="cannot be written"):
        sink.write(answer(1.0, "a quay"), None)

    assert path.read_bytes() == before
    room(10_000)
    sink.write(answer(1.0, "a quay"), None)  # tried again, as the fan does
    assert shown(path) == [(0, 1000, "a road"), (1000, 11_000, "a quay")]
