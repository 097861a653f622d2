"""Sinks beside a stream: all events, one thread each, and none that holds another up."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

import pytest

from skyeye_edge.core.events import Event, build_state
from skyeye_edge.core.frame import Frame, SourceChange
from skyeye_edge.runtime.sinks.fan import SLOTS, Fan

LIMIT = 30.0  # seconds that anything may take on a busy machine
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def event(number: int) -> Event:
    return build_state(SourceChange("LIVE", f"{number}"), "camera", NOON, nonce=f"{number}")


class Kept:
    name = "kept"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed.set()


class Stuck(Kept):
    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        assert self.go_on.wait(LIMIT)
        super().write(event, frame)


def test_a_sink_that_is_stuck_costs_the_others_nothing_and_its_losses_are_counted() -> None:
    kept, stuck = Kept(), Stuck()
    fan = Fan([stuck])
    for number in range(2 * SLOTS):
        fan.offer(event(number), None)
    fan.add(kept)
    fan.offer(event(999), None)
    fan.remove(kept)

    assert kept.closed.wait(LIMIT) and kept.events == [event(999)]
    stuck.go_on.set()
    fan.close()
    assert stuck.closed.wait(LIMIT)
    assert len(stuck.events) < 2 * SLOTS  # the newest are kept
    assert stuck.events[-1] == event(999)


def test_a_sink_that_fails_is_told_of_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Kept):
        name = "failing"

        def write(self, event: Event, frame: Frame | None) -> None:
            if len(self.events) < 3:
                super().write(event, frame)
                raise OSError("no room")
            super().write(event, frame)

    sink = Failing()
    fan = Fan([sink])
    for number in range(4):
        fan.offer(event(number), None)
    fan.close()

    assert sink.closed.wait(LIMIT) and len(sink.events) == 4
    assert [record.message for record in caplog.records] == [
        "failing: no room; the stream goes on without it"
    ]
