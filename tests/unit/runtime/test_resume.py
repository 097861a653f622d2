"""Going on where a run was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.core.events import AnswerEvent, build_answer, build_state, build_summary
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
from skyeye_edge.runtime.resume import (
    Earlier,
    Rest,
    check_same_run,
    cut_to_last_answer,
    read_earlier,
    read_events,
)
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


def test_the_same_questions_to_the_same_model_may_go_on(tmp_path: Path) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(TWO_ANSWERS)

    check_same_run(read_earlier(path), "clip.mp4", TASKS, MODEL, path)


@pytest.mark.parametrize(
    ("source", "tasks", "model", "what"),
    [
        ("other.mp4", TASKS, MODEL, "the video"),
        ("clip.mp4", TASKS[:3], MODEL, "the tasks"),
        ("clip.mp4", (*TASKS[:-1], Ask("Dry?")), MODEL, "the tasks"),
        ("clip.mp4", TASKS, {"name": "m", "language": "F32"}, "the model"),
    ],
)
def test_another_run_is_not_mixed_into_the_file(
    source: str, tasks: Sequence[Task], model: dict[str, str], what: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.jsonl"
    path.write_text(TWO_ANSWERS)

    with pytest.raises(InputError, match=f"cannot resume, {what} differs"):
        check_same_run(read_earlier(path), source, tasks, model, path)


@pytest.fixture(scope="module")
def clip(make_clip: Callable[..., Path]) -> Path:
    """Thirty frames, ten a second."""
    return make_clip()


def kept(items: Iterator[Frame | SourceChange]) -> list[tuple[int | str, Counts]]:
    """What an item is, and what happened before it."""
    return [(item.index if isinstance(item, Frame) else item.state, item.before) for item in items]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
