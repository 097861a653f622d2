"""Going on where a run was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import DataError, InputError, OutputError
from skyeye_edge.core.events import (
    AnswerEvent,
    build_answer,
    build_state,
    build_summary,
    parse_event,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import (
    Ask,
    Caption,
    Classify,
    Describe,
    Detect,
    Ground,
    Identify,
    Task,
)
from skyeye_edge.runtime.fingerprint import Fingerprint
from skyeye_edge.runtime.resume import (
    Earlier,
    Rest,
    check_same_run,
    cut_to_last_answer,
    read_earlier,
    read_events,
)
from skyeye_edge.runtime.run_record import HEAD, RunRecord, build_record, parse_record
from skyeye_edge.runtime.sources.file import FileSource

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
MODEL = {"name": "m", "language": "Q8_0"}
TASKS: Sequence[Task] = (
    Caption(),
    Describe(),
    Classify(("a", "b")),
    Ground("a boat"),
    Detect("car"),
    Identify((1, 2, 3, 4)),
    Ask("Wet?"),
)
RESULTS = (
    TextResult("caption", "text", "x"),
    TextResult("describe", "text", "x"),
    ClassifyResult("a", "text"),
    GroundResult("a boat", "absent", ()),
    DetectResult("car", "absent", ()),
    TextResult("identify", "text", "x", box=(1, 2, 3, 4)),
    TextResult("ask", "text", "x", question="Wet?"),
)


MEDIA = Fingerprint(5_000, "a" * 32)


def record(
    source: str = "clip.mp4",
    media: Fingerprint | None = MEDIA,
    tasks: Sequence[Task] = TASKS,
    model: dict[str, str] = MODEL,
    min_score: float = 0.0,
    every: float = 1.0,
    clip: int = 1,
    keep_damaged: bool = False,
) -> RunRecord:
    options = {"min_score": min_score, "every": every}
    return build_record(
        source, media, tasks, model, clip=clip, keep_damaged=keep_damaged, **options
    )


RECORD = record()


def answer(index: int) -> AnswerEvent:
    frame = Frame(np.zeros((6, 8, 3), np.uint8), index / 10, index, source="clip.mp4")
    return build_answer([frame], RESULTS, Counts(10, 9), UTC, timing_ms={}, model=MODEL)


ENDED = build_state(SourceChange("ENDED", "stopped"), "clip.mp4", UTC).to_json()
SUMMARY = build_summary(Counts(20, 18), 2, UTC, source="clip.mp4").to_json()
TWO_ANSWERS = "".join(answer(index).to_json() + "\n" for index in (0, 10))


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("", id="killed between two answers"),
        pytest.param(answer(20).to_json()[:40], id="torn last line"),
        pytest.param("\0\0\0\n", id="zeros after a loss of power"),
        pytest.param(f"{ENDED}\n{SUMMARY}\n", id="interrupted by Ctrl-C"),
        pytest.param(f"{ENDED}\n{SUMMARY}", id="torn summary"),
    ],
)
def test_a_file_is_cut_to_its_last_answer_and_its_totals_are_known(
    tail: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(TWO_ANSWERS + tail)

    earlier = read_earlier(path)
    cut_to_last_answer(path, earlier)

    assert earlier.indices == {0, 10}
    assert (earlier.totals.received, earlier.totals.skipped) == (20, 18)
    assert path.read_text() == TWO_ANSWERS


def test_damage_before_the_last_line_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text("no event\n" + TWO_ANSWERS)

    with pytest.raises(DataError, match=r"clip\.jsonl, line 1"):
        read_earlier(path)


def test_without_an_earlier_run_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"

    assert read_earlier(path) == Earlier()
    cut_to_last_answer(path, Earlier())
    assert not path.exists()


def test_events_are_read_back_without_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(TWO_ANSWERS + ENDED[:20])

    assert [event.time for event in read_events(path)] == [0.0, 1.0]


@pytest.mark.parametrize("source", ["clip.mp4", "card/clip.mp4"])
def test_the_same_run_may_go_on(source: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(RECORD.to_json(UTC) + "\n" + TWO_ANSWERS)

    check_same_run(read_earlier(path), record(source), path)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        pytest.param({"source": "other.mp4"}, r"the video .* other\.mp4", id="name"),
        pytest.param(
            {"media": Fingerprint(5_001, "b" * 32)},
            r"5,000 bytes \(aaaaaaaa\), now it is clip\.mp4, 5,001 bytes \(bbbbbbbb\)",
            id="another flight of the same name",
        ),
        pytest.param({"tasks": TASKS[:3]}, "what is asked differs", id="fewer tasks"),
        pytest.param(
            {"tasks": (*TASKS[:-1], Ask("Dry?"))}, "Wet.*, now .*Dry", id="another question"
        ),
        pytest.param(
            {"tasks": (TASKS[0], Describe(boxes=True), *TASKS[2:])}, "describe True", id="boxes"
        ),
        pytest.param(
            {"tasks": (*TASKS[:2], Classify(("a", "c")), *TASKS[3:])}, "'c'", id="class names"
        ),
        pytest.param({"model": {"name": "m", "language": "F32"}}, "the model .*F32", id="model"),
        pytest.param({"min_score": 0.5}, "lowest score .* was 0.0, now it is 0.5", id="min_score"),
        pytest.param({"every": 2.0}, "--every differs: it was 1.0, now it is 2.0", id="every"),
        pytest.param({"clip": 4}, "length of a clip differs", id="clip"),
        pytest.param({"keep_damaged": True}, "--keep-damaged differs", id="damaged pictures"),
    ],
)
def test_another_run_is_not_mixed_into_the_file(
    change: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(RECORD.to_json(UTC) + "\n" + TWO_ANSWERS)

    with pytest.raises(OutputError, match=f"cannot resume, .*{difference}"):
        check_same_run(read_earlier(path), record(**change), path)


def test_answers_without_a_record_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(TWO_ANSWERS)

    with pytest.raises(OutputError, match="did not note which video"):
        check_same_run(read_earlier(path), RECORD, path)


def test_a_record_is_no_event_for_readers(tmp_path: Path) -> None:
    line = RECORD.to_json(UTC)

    assert parse_record(line) == RECORD
    assert parse_event(line) is None
    assert line.encode().startswith(HEAD)
    assert {"schema", "type", "id", "source", "epoch", "time", "utc"} <= set(json.loads(line))


@pytest.fixture(scope="module")
def clip(make_clip: Callable[..., Path]) -> Path:
    """Thirty frames, ten a second."""
    return make_clip()


def kept(items: Iterator[Frame | SourceChange]) -> list[tuple[int | str, Counts]]:
    """What an item is, and what happened before it."""
    return [(item.index if isinstance(item, Frame) else item.state, item.before) for item in items]


@settings(max_examples=20, deadline=None)
@given(done=st.integers(1, 6), every=st.sampled_from([0.5, 0.55]))
def test_the_rest_of_a_source_is_what_an_uninterrupted_run_would_have_seen(
    done: int, every: float, clip: Path
) -> None:
    with closing(FileSource(clip)) as source:
        whole = kept(source.items(every))
    answered = [index for index, _ in whole[:done] if isinstance(index, int)]

    with closing(Rest(FileSource(clip), frozenset(answered))) as rest:
        items = kept(rest.items(every))

    assert items == whole[len(answered) :]


@pytest.mark.parametrize("answered", [{0, 7}, {0, 10, 20}, {0, 5, 10, 12}])
def test_another_interval_than_before_is_refused(answered: set[int], clip: Path) -> None:
    with (
        closing(Rest(FileSource(clip), frozenset(answered))) as rest,
        pytest.raises(InputError, match="same --every"),
    ):
        list(rest.items(0.5))
