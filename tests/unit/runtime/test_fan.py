"""Sinks beside a stream: all events, one thread each, and none that holds another up."""

from __future__ import annotations

import logging
import threading
import weakref
from datetime import datetime, timezone

import numpy as np
import pytest

from skyeye_edge.core.events import AnswerEvent, Event, build_answer, build_state
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sinks import open_sinks
from skyeye_edge.runtime.sinks.fan import PICTURES, SLOTS, Fan, SinkCounts

LIMIT = 60.0  # seconds that anything may take on a busy machine
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def event(number: int) -> Event:
    return build_state(SourceChange("LIVE", f"{number}"), "camera", NOON, nonce=f"{number}")


def picture(number: int) -> Frame:
    return Frame(np.zeros((4, 6, 3), np.uint8), float(number), number, source="camera")


def answer(number: int) -> AnswerEvent:
    return build_answer([picture(number)], [], Counts(1), NOON, timing_ms={}, model={})


class Kept:
    name = "kept"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.pictures: list[int] = []
        self.closed = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        self.events.append(event)
        if frame is not None:
            self.pictures.append(frame.index)

    def close(self) -> None:
        self.closed.set()


class Stuck(Kept):
    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        self.entered.set()
        assert self.go_on.wait(LIMIT)
        super().write(event, frame)


class Spooled(Kept):
    """Fails until it is mended, and wants to be asked again."""

    name = "spooled"
    spool = 5
    wants_frames = False
    keeps_all = True

    def __init__(self) -> None:
        super().__init__()
        self.mended = threading.Event()
        self.failed = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        if not self.mended.is_set():
            self.failed.set()
            raise OSError(28, "No space left on device")
        super().write(event, frame)


def check_balance(counts: SinkCounts) -> None:
    assert counts.offered == counts.written + counts.waiting + sum(counts.lost.values())


def test_a_sink_that_is_stuck_costs_the_others_nothing_and_its_losses_are_counted() -> None:
    kept, stuck = Kept(), Stuck()
    fan = Fan([stuck], patience=LIMIT)
    fan.offer(event(0), None)
    assert stuck.entered.wait(LIMIT)
    for number in range(1, 2 * SLOTS):
        fan.offer(event(number), None)
    fan.add(kept)
    fan.offer(event(999), None)
    fan.remove(kept)

    assert kept.closed.wait(LIMIT) and kept.events == [event(999)]
    stuck.go_on.set()
    fan.close()
    assert stuck.closed.wait(LIMIT)
    assert stuck.events == [event(0), *(event(n) for n in range(SLOTS + 1, 2 * SLOTS)), event(999)]
    assert fan.losses == {"stuck": {"slow": SLOTS}}
    check_balance(fan.counts["stuck"])
    assert fan.counts["kept"] == SinkCounts(1, 1)


def test_a_sink_that_never_comes_back_is_left_alone_and_what_it_holds_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, kept = Stuck(), Kept()
    fan = Fan([stuck, kept], patience=0.0)
    fan.offer(event(0), None)
    assert stuck.entered.wait(LIMIT)
    fan.offer(event(1), None)

    fan.close()

    assert kept.closed.wait(LIMIT)
    assert fan.losses["stuck"] == {"closed": 2}
    assert "stuck: does not end, and is left alone" in caplog.messages
    stuck.go_on.set()
    assert stuck.closed.wait(LIMIT)  # what it was left with is closed all the same
    assert stuck.events == [event(0)]  # and nothing is written behind everybody's back
    check_balance(fan.counts["stuck"])


def test_changes_of_state_are_kept_when_answers_find_no_room() -> None:
    stuck = Stuck()
    fan = Fan([stuck], patience=LIMIT)
    fan.offer(event(0), None)
    assert stuck.entered.wait(LIMIT)
    fan.offer(event(1), None)
    for number in range(3 * SLOTS):
        fan.offer(answer(number), None)
    fan.offer(event(2), None)

    stuck.go_on.set()
    fan.close()

    states = [each for each in stuck.events if not isinstance(each, AnswerEvent)]
    assert states == [event(0), event(1), event(2)]
    answers = [each.frames[0] for each in stuck.events if isinstance(each, AnswerEvent)]
    assert answers == list(range(3 * SLOTS))[-len(answers) :]  # the newest


def test_only_a_few_pictures_wait_and_only_for_sinks_that_want_them() -> None:
    class Words(Stuck):
        name = "words"
        wants_frames = False

    pictures, words = Stuck(), Words()
    fan = Fan([pictures, words], patience=LIMIT)
    for sink in (pictures, words):
        fan.offer(event(0), None)
        assert sink.entered.wait(LIMIT)
    frames = [picture(number) for number in range(3 * PICTURES)]
    for frame in frames:
        fan.offer(answer(frame.index), frame)
    alive = [weakref.ref(frame.rgb) for frame in frames]
    del frames, frame

    assert sum(each() is not None for each in alive) == PICTURES
    for stuck in (pictures, words):
        stuck.go_on.set()
    fan.close()
    assert pictures.pictures == list(range(2 * PICTURES, 3 * PICTURES))
    assert words.pictures == []
    assert sum(isinstance(each, AnswerEvent) for each in words.events) == 3 * PICTURES
    assert fan.losses == {"stuck": {"slow": 2 * PICTURES}}


def test_the_last_picture_is_let_go_while_nothing_new_comes() -> None:
    fan = Fan([sink := Kept()])
    frame = picture(7)
    gone = threading.Event()
    weakref.finalize(frame.rgb, gone.set)
    fan.offer(answer(7), frame)
    del frame

    assert gone.wait(LIMIT)
    fan.close()
    assert sink.pictures == [7]


def test_a_sink_that_fails_is_told_of_once_and_tried_with_the_next_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Kept):
        name = "failing"

        def write(self, event: Event, frame: Frame | None) -> None:
            super().write(event, frame)
            if len(self.events) in (2, 3):
                raise OSError(5, "Input/output error")

    sink = Failing()
    fan = Fan([sink], patience=LIMIT)
    for number in range(5):
        fan.offer(event(number), None)
    fan.close()

    assert len(sink.events) == 5
    assert caplog.messages == [
        "failing: input/output error; watching goes on, events are lost until it is mended",
        "failing: works again; 2 events are missing so far",
        "failing: 2 events are missing (2 failed)",
    ]
    assert fan.counts["failing"] == SinkCounts(5, 3, 0, {"failed": 2})


def test_what_cannot_be_written_waits_and_goes_out_in_order_when_it_is_mended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Spooled()
    fan = Fan([sink], patience=LIMIT)
    fan.offer(event(0), None)
    assert sink.failed.wait(LIMIT)
    for number in range(1, 4):
        fan.offer(answer(number), None)
    sink.mended.set()
    fan.close()

    assert sink.events == [event(0), *(answer(number) for number in range(1, 4))]
    assert fan.losses == {} and fan.incomplete == ()
    assert "no space left on device" in caplog.messages[0] and "wait" in caplog.messages[0]


def test_what_is_never_mended_is_counted_and_makes_the_record_incomplete() -> None:
    sink = Spooled()
    fan = Fan([sink], patience=LIMIT)
    for number in range(3 * SLOTS):
        fan.offer(answer(number), None)
    fan.close()

    assert sink.events == []
    lost = fan.counts["spooled"].lost
    assert sum(lost.values()) == 3 * SLOTS and set(lost) <= {"failed", "slow"}
    assert fan.incomplete == ("spooled",)
    check_balance(fan.counts["spooled"])


def test_a_function_is_a_sink_and_what_it_raises_costs_nobody_else_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[tuple[Event, int | None]] = []

    def note(event: Event, frame: Frame | None) -> None:
        seen.append((event, None if frame is None else frame.index))
        if len(seen) == 1:
            raise KeyError("x")

    kept = Kept()
    caplog.set_level(logging.ERROR)
    fan = Fan(open_sinks([note, kept]), patience=LIMIT)
    fan.offer(answer(1), picture(1))
    fan.offer(event(2), None)
    fan.close()

    assert seen == [(answer(1), 1), (event(2), None)]
    assert kept.events == [answer(1), event(2)]
    (name,) = fan.losses
    assert name.startswith("callback ") and name.endswith("note")
    assert "KeyError: 'x'" in caplog.messages[0]


def test_a_sink_of_pictures_hears_of_nothing_else_and_is_not_mended_by_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Pictures(Kept):
        name = "pictures"
        only_frames = True

        def write(self, event: Event, frame: Frame | None) -> None:
            super().write(event, frame)
            raise OSError(5, "Input/output error")

    sink = Pictures()
    fan = Fan([sink], patience=LIMIT)
    fan.offer(answer(1), picture(1))
    fan.offer(event(2), None)
    fan.close()

    assert sink.events == [answer(1)]
    assert fan.counts["pictures"] == SinkCounts(1, 0, 0, {"failed": 1})
    assert not any("works again" in message for message in caplog.messages)


def test_two_sinks_of_one_name_are_counted_apart() -> None:
    fan = Fan([Kept(), Kept()], patience=LIMIT)
    fan.offer(event(0), None)
    fan.close()

    assert set(fan.counts) == {"kept", "kept (2)"}
