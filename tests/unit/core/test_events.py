"""Events as lines of JSON, and back."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import DataError
from skyeye_edge.core.events import (
    AnswerEvent,
    ControlEvent,
    Event,
    GateDecision,
    build_answer,
    build_control,
    build_heartbeat,
    build_state,
    build_summary,
    parse_event,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)
from skyeye_edge.core.tasks import Caption, Classify, Ground, Task, parse_task

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=timezone.utc)
MODEL = {
    "name": "skyeye-tiny",
    "bundle_sha256": "ab",
    "vision": "int8",
    "backend": "onnxruntime-cpu",
    "language": "Q8_0",
}
HEAD = ["schema", "type", "id", "source", "epoch", "time", "utc"]


def frame(index: int = 120, time: float = 4.004, source: str = "cam1") -> Frame:
    return Frame(np.zeros((4, 8, 3), np.uint8), time, index, 2, source=source)


def answer(*results: Any, **changes: Any) -> AnswerEvent:
    values: dict[str, Any] = {"timing_ms": {"encode": 1.23456}, "model": MODEL} | changes
    return build_answer([frame()], results, Counts(30, 28, {"busy": 1}), NOON, **values)


def test_an_answer_line_has_the_keys_of_the_format() -> None:
    boxes = (Box((1, 1, 2, 3), 0.5),)

    line = answer(
        TextResult("caption", "text", "a road", score=0.7), GroundResult("a boat", "found", boxes)
    ).to_json()

    assert "\n" not in line
    values = json.loads(line)
    assert list(values) == [
        *HEAD, "frames", "size", "prompt_version", "results", "received", "skipped", "dropped",
        "timing_ms", "model",
    ]  # fmt: skip
    assert (values["schema"], values["type"], values["source"]) == (1, "answer", "cam1")
    assert (values["epoch"], values["time"], values["frames"]) == (2, 4.004, [120])
    assert (values["utc"], values["size"]) == ("2026-11-21T12:00:00.123Z", [8, 4])
    assert (values["received"], values["skipped"]) == (30, 28)
    assert values["dropped"] == {"gate": 0, "stale": 0, "busy": 1, "decode": 0}
    assert list(values["timing_ms"]) == [
        "decode", "preprocess", "encode", "prefill", "generate", "age",
    ]  # fmt: skip
    assert values["timing_ms"]["encode"] == 1.235
    assert values["model"] == MODEL
    assert values["results"] == [
        {"task": "caption", "outcome": "text", "text": "a road", "stopped": "end", "score": 0.7},
        {
            "task": "ground", "phrase": "a boat",
            "outcome": "found", "stopped": "end", "score": 1.0,
            "boxes": [{"xyxy": [1, 1, 2, 3], "norm": [0.125, 0.25, 0.25, 0.75], "score": 0.5}],
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "values"),
    [
        pytest.param(
            TextResult("ask", "text", "two", question="how many?"),
            {"task": "ask", "question": "how many?", "text": "two"},
            id="ask",
        ),
        pytest.param(
            TextResult("identify", "text", "a car", box=(1, 2, 3, 4)),
            {"task": "identify", "box": [1, 2, 3, 4], "text": "a car"},
            id="identify",
        ),
        pytest.param(
            ClassifyResult("port", "text"), {"task": "classify", "label": "port"}, id="classify"
        ),
        pytest.param(
            DetectResult("car", "absent", ()),
            {"task": "detect", "name": "car", "outcome": "absent", "boxes": []},
            id="detect",
        ),
    ],
)
def test_each_task_says_what_was_asked(result: Any, values: dict[str, Any]) -> None:
    (written,) = json.loads(answer(result).to_json())["results"]

    assert values.items() <= written.items()


def test_a_state_line_has_the_keys_of_the_format() -> None:
    change = SourceChange("RECONNECTING", "no frame for 5 s", epoch=1, time=3.5)

    values = json.loads(build_state(change, "cam1", NOON).to_json())

    assert list(values) == [*HEAD, "state", "cause"]
    assert (values["type"], values["state"], values["cause"]) == (
        "state", "RECONNECTING", "no frame for 5 s",
    )  # fmt: skip


def test_a_summary_line_has_the_keys_of_the_format() -> None:
    counts = Counts(10, 3, {"closed": 2})

    values = json.loads(build_summary(counts, 5, NOON, source="cam1", time=9.0).to_json())

    assert list(values) == [*HEAD, "received", "answered", "skipped", "dropped"]
    assert values["received"] == 10
    assert values["answered"] + values["skipped"] + sum(values["dropped"].values()) == 10


def test_an_answer_about_a_damaged_picture_says_so_and_no_other_does() -> None:
    torn = Frame(np.zeros((4, 8, 3), np.uint8), damaged=True)

    event = build_answer([frame(), torn], [], Counts(), NOON, timing_ms={}, model=MODEL)

    assert json.loads(event.to_json())["damaged"] is True
    assert parse_event(event.to_json()) == event
    assert "damaged" not in json.loads(answer().to_json())


def test_a_clip_names_all_its_frames_and_the_time_of_the_last() -> None:
    frames = [frame(1, 0.1), frame(4, 0.4)]

    event = build_answer(frames, [], Counts(), NOON, timing_ms={}, model=MODEL)

    assert (event.frames, event.time) == ((1, 4), 0.4)


numbers = st.floats(0, 1, allow_nan=False)
text = st.text()
boxes = st.lists(
    st.tuples(*[st.floats(0, 1920)] * 4).map(
        lambda e: Box((min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3])), 0.123)
    ),
    max_size=3,
).map(tuple)
box_outcomes = st.sampled_from(["found", "absent", "cut", "unreadable"])
text_outcomes = st.sampled_from(["text", "cut", "unreadable"])
results = st.one_of(
    st.builds(
        TextResult, st.sampled_from(["caption", "describe"]), text_outcomes, text, score=numbers
    ),
    st.builds(TextResult, st.just("ask"), text_outcomes, text, question=text),
    st.builds(
        TextResult,
        st.just("describe"),
        text_outcomes,
        text,
        phrases=st.lists(st.tuples(text, boxes), max_size=2).map(tuple),
    ),
    st.builds(ClassifyResult, text, text_outcomes, stopped=st.sampled_from(["end", "length"])),
    st.builds(GroundResult, text, box_outcomes, boxes, score=numbers),
    st.builds(DetectResult, text, box_outcomes, boxes, score=numbers),
)
counts = st.builds(
    Counts,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.dictionaries(st.sampled_from(["stale", "busy", "decode", "closed"]), st.integers(0, 99)),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        lambda found, seen, late, source: build_answer(
            [frame(source=source)], found, seen, NOON + timedelta(seconds=late),
            timing_ms={"age": late}, model=MODEL,
        ),
        st.lists(results, max_size=3), counts, st.floats(0, 1e6), text,
    ),
    st.builds(
        lambda state, cause, epoch, time: build_state(
            SourceChange(state, cause, epoch, time), "x", NOON
        ),
        st.sampled_from(["LIVE", "ENDED"]), text, st.integers(0, 99), st.floats(0, 1e5),
    ),
    st.builds(lambda seen, n: build_summary(seen, n, NOON, source="x"), counts, st.integers(0, 99)),
)  # fmt: skip


@given(event=events)
def test_an_event_survives_its_line(event: Event) -> None:
    line = event.to_json()

    back = parse_event(line)

    assert back is not None
    assert back.to_json() == line
    assert type(back) is type(event)


@given(event=events)
def test_an_event_survives_pickling(event: Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


def test_an_id_follows_from_the_content() -> None:
    assert answer().id == answer().id
    assert answer().id != answer(TextResult("caption", "text", "a road")).id


def test_keys_and_types_of_later_versions_are_ignored() -> None:
    values = json.loads(answer().to_json())

    later = json.dumps(values | {"mood": "good"})
    unknown = json.dumps(values | {"type": "weather"})

    assert parse_event(later) == answer()
    assert parse_event(unknown) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"schema": 1}',
        '{"schema": 1, "type": "state"}',
        '{"schema": "x"}',
    ],
)
def test_a_line_that_is_no_event_is_an_error(line: str) -> None:
    with pytest.raises(DataError, match="not an event line"):
        parse_event(line)


def test_a_torn_line_is_an_error() -> None:
    with pytest.raises(DataError, match="not an event line"):
        parse_event(answer().to_json()[:-9])


def test_swapped_corners_in_a_line_are_an_error() -> None:
    line = answer(GroundResult("a", "found", (Box((1, 1, 2, 2)),))).to_json()

    with pytest.raises(DataError, match="swapped"):
        parse_event(line.replace("[1.0, 1.0, 2.0, 2.0]", "[3.0, 1.0, 2.0, 2.0]"))


def test_a_newer_schema_is_refused() -> None:
    line = answer().to_json().replace('"schema": 1', '"schema": 2')

    with pytest.raises(DataError, match="schema 2, this program reads up to 1"):
        parse_event(line)


def test_a_file_name_that_is_no_text_still_gives_a_line() -> None:
    event = build_summary(Counts(), 0, NOON, source="flight\udcff.mp4")

    assert json.loads(event.to_json().encode())["source"] == "flight?.mp4"


def heartbeat_of(answer: AnswerEvent, index: int, time: float) -> AnswerEvent:
    return build_heartbeat(
        frame(index, time),
        answer,
        Counts(3, 0, {"gate": 3}),
        NOON,
        gate=GateDecision(False, "unchanged", 0.0004, heartbeat=True),
    )


def test_a_heartbeat_carries_results_with_where_they_are_from_and_until_when_they_held() -> None:
    results = (
        TextResult("caption", "text", "a boat ."),
        GroundResult("a boat", "found", (Box((1, 2, 3, 4), 0.9),)),
        DetectResult("car", "absent", ()),
        ClassifyResult("harbour", "text"),
    )
    asked = build_answer([frame(96, 3.2)], results, Counts(1), NOON, timing_ms={}, model={})

    first = heartbeat_of(asked, 120, 4.0)
    second = heartbeat_of(first, 150, 5.0)

    assert (second.frames, second.time, second.counts.dropped["gate"]) == ((), 5.0, 3)
    assert {(each.carried_from, each.verified_at) for each in second.results} == {(96, 5.0)}
    assert parse_event(second.to_json()) == replace(second, results=_read(second))


def _read(event: AnswerEvent) -> tuple[TaskResult, ...]:
    """Results as they come back: a label is its own text, boxes keep none."""
    return tuple(
        replace(each, text=each.label) if isinstance(each, ClassifyResult) else each
        for each in event.results
    )


def test_a_change_of_tasks_is_read_again() -> None:
    tasks: list[Task] = [Caption(), Ground("a boat", min_score=0.4), Classify(("a", "b"))]
    alerts = [{"phrase": "smoke", "needed": 3}]
    event = build_control("set_tasks", 3, tasks, NOON, alerts=alerts, source="cam1", time=2.5)

    read = parse_event(event.to_json())

    assert read == event
    assert isinstance(read, ControlEvent)
    assert [parse_task(values) for values in read.tasks] == tasks
