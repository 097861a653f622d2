from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from skyeye_edge import (
    Box,
    ClassifyResult,
    DetectResult,
    Frame,
    GroundResult,
    TaskResult,
    TextResult,
)
from skyeye_edge.cli.lines import clock, event_line, result_text
from skyeye_edge.core.events import build_alert, build_answer, build_state, build_summary
from skyeye_edge.core.frame import Counts, SourceChange
from skyeye_edge.core.json_types import AlertPhase, AlertReason

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
BOX = Box((1.2, 2.0, 30.6, 40.0), score=0.876)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        pytest.param(TextResult("caption", "text", "a road"), "a road", id="caption"),
        pytest.param(TextResult("caption", "cut", "a ro"), "a ro [cut]", id="cut off"),
        pytest.param(TextResult("ask", "text", "two", "How many?"), "How many? two", id="answer"),
        pytest.param(ClassifyResult("harbour", "text"), "harbour", id="class"),
        pytest.param(ClassifyResult("", "unreadable"), "[unreadable]", id="no class"),
        pytest.param(
            ClassifyResult("no", "text", question="is it lit?"), "is it lit? no", id="yes or no"
        ),
        pytest.param(GroundResult("a car", "found", (BOX,)), "a car: 1 2 31 40 (0.88)", id="found"),
        pytest.param(GroundResult("a car", "absent", ()), "a car: absent", id="absent"),
        pytest.param(
            DetectResult("car", "found", (BOX, BOX)),
            "car: 1 2 31 40 (0.88), 1 2 31 40 (0.88)",
            id="several",
        ),
    ],
)
def test_a_result_is_readable(result: TaskResult, text: str) -> None:
    assert result_text(result) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00:00.000"), (61.5, "0:01:01.500"), (3599.9996, "1:00:00.000")],
)
def test_media_time_is_hours_minutes_seconds(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_an_answer_is_one_line() -> None:
    frame = Frame(np.zeros((4, 6, 3), np.uint8), time=2.0)
    results: list[TaskResult] = [
        TextResult("caption", "text", "a road"),
        GroundResult("a car", "absent", ()),
    ]
    event = build_answer([frame], results, Counts(1), UTC, timing_ms={}, model={})

    assert event_line(event) == "0:00:02.000  a road | a car: absent"


def test_a_change_of_state_says_why() -> None:
    event = build_state(SourceChange("STALLED", "no frame for 2 s", time=1.0), "cam", UTC)

    assert event_line(event) == "0:00:01.000  STALLED: no frame for 2 s"


@pytest.mark.parametrize(
    ("phase", "why", "boxes", "text"),
    [
        ("begin", "seen", [], "ALERT fire begins (0.83)"),
        ("update", "seen", [BOX, BOX], "ALERT fire goes on at 1 2 31 40 (0.88)"),
        ("end", "gone", [], "ALERT fire ends (0.83)"),
        ("end", "ended", [], "ALERT fire ends: the stream has ended (0.83)"),
        ("end", "removed", [], "ALERT fire ends: it is not watched for any more (0.83)"),
    ],
)
def test_an_alert_says_what_becomes_of_it(
    phase: AlertPhase, why: AlertReason, boxes: list[Box], text: str
) -> None:
    frame = Frame(np.zeros((4, 6, 3), np.uint8), time=2.0)
    said = build_answer([frame], [], Counts(1), UTC, timing_ms={}, model={})

    event = build_alert(
        said, alert="fire", phrase="smoke", phase=phase, why=why, score=0.83,
        evidence=[said], boxes=boxes,
    )  # fmt: skip

    assert event_line(event) == f"0:00:02.000  {text}"


def test_a_summary_counts_every_frame() -> None:
    event = build_summary(Counts(10, 6, {"busy": 2, "decode": 1}), 1, UTC, source="cam")

    assert event_line(event) == "10 frames: 1 answered, 6 not due, 3 dropped"
