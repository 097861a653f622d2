"""The shipped JSON Schema: what events are, and what they are not."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from build_tools.event_schema import PAGE, build_schema
from skyeye_edge.core.boxes import Box
from skyeye_edge.core.events import build_alert, build_answer, build_state, build_summary
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
BOX = Box((1, 1, 2, 3), 0.5)
RESULTS: list[TaskResult] = [
    TextResult("caption", "text", "a road", score=0.7),
    TextResult("ask", "cut", "two", question="how many?", stopped="length"),
    TextResult("identify", "text", "a car", box=(1, 2, 3, 4)),
    TextResult("describe", "text", "a quay", phrases=(("a quay", (BOX,)),)),
    ClassifyResult("port", "text", "port"),
    ClassifyResult("yes", "text", "yes", question="is there smoke?"),
    GroundResult("a boat", "uncertain", ()),
    DetectResult("car", "found", (BOX, Box((1, 1, 2, 3), 0.5, angle=30.0))),
]


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    """The shipped file, which is itself checked."""
    values = json.loads(PAGE.read_text("utf-8"))
    Draft202012Validator.check_schema(values)
    return Draft202012Validator(values)


def answer(*results: TaskResult, user: Any = None) -> dict[str, Any]:
    frame = Frame(np.zeros((4, 8, 3), np.uint8), 4.0, 120, source="cam1", user=user, damaged=True)
    counts = Counts(30, 28, {"busy": 1})
    event = build_answer([frame], results, counts, UTC, timing_ms={}, model={"name": "tiny"})
    return dict(json.loads(event.to_json()))


def test_the_shipped_schema_is_what_the_types_say() -> None:
    assert json.loads(PAGE.read_text("utf-8")) == build_schema()


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.to_dict.__qualname__)
def test_every_kind_of_result_fits(result: TaskResult, schema: Draft202012Validator) -> None:
    event = answer(result, user={"stamp": [1, 2.5, None]})

    alone = {"$ref": "#/$defs/ResultValues", "$defs": schema.schema["$defs"]}
    assert list(schema.iter_errors(event)) == []
    assert list(schema.evolve(schema=alone).iter_errors(event["results"][0])) == []


def test_states_and_summaries_fit(schema: Draft202012Validator) -> None:
    state = build_state(SourceChange("RECONNECTING", "no frame for 5 s", 1, 3.5), "cam1", UTC)
    summary = build_summary(Counts(10, 3, {"closed": 2}), 5, UTC, source="cam1")

    assert list(schema.iter_errors(json.loads(state.to_json()))) == []
    assert list(schema.iter_errors(json.loads(summary.to_json()))) == []


def test_alerts_fit(schema: Draft202012Validator) -> None:
    frame = Frame(np.zeros((4, 8, 3), np.uint8), 4.0, 120, source="cam1")
    said = build_answer([frame], RESULTS[:1], Counts(1), UTC, timing_ms={}, model={})
    alert = build_alert(
        said, alert="fire", phrase="smoke", phase="begin", why="seen", score=0.8,
        evidence=[said], boxes=[BOX],
    )  # fmt: skip

    assert list(schema.iter_errors(json.loads(alert.to_json()))) == []
    assert not schema.is_valid(alert.to_dict() | {"phase": "middle"})


def test_heartbeats_fit_and_say_what_the_gate_found(schema: Draft202012Validator) -> None:
    event = answer(RESULTS[0])
    carried = event["results"][0] | {"carried_from": 3, "verified_at": 4.5}
    heartbeat = event | {"frames": [], "results": [carried]}

    assert schema.is_valid(heartbeat | {"gate": {"why": "unchanged", "changed": 0.0}})
    assert not schema.is_valid(heartbeat)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"type": "weather"}, id="another type"),
        pytest.param({"schema": 2}, id="another schema"),
        pytest.param({"time": "4.0"}, id="text for a number"),
        pytest.param({"frames": []}, id="no frame"),
        pytest.param({"size": [8]}, id="half a size"),
        pytest.param({"damaged": 1}, id="a number for yes"),
        pytest.param({"received": -1}, id="a negative count"),
        pytest.param({"results": [{"task": "caption"}]}, id="half a result"),
        pytest.param({"results": [{"task": "dance"}]}, id="another task"),
    ],
)
def test_what_is_no_event_does_not_fit(
    change: dict[str, Any], schema: Draft202012Validator
) -> None:
    assert not schema.is_valid(answer(RESULTS[0]) | change)


def test_a_box_of_three_edges_does_not_fit(schema: Draft202012Validator) -> None:
    event = answer(RESULTS[-1])
    event["results"][0]["boxes"][0]["xyxy"].pop()

    assert not schema.is_valid(event)


def test_the_schema_travels_with_the_package() -> None:
    import skyeye_edge

    assert Path(skyeye_edge.__file__).parent / "assets" / "events.schema.json" == PAGE
