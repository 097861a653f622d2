"""Streams over the tiny model: events, counts, and the ways in which they end."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.errors import ClosedError, InputError, SkyEyeError
from skyeye_edge.core.events import (
    AnswerEvent,
    Event,
    StateEvent,
    SummaryEvent,
    parse_event,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.tasks import Ask, Caption, Classify, Ground, Task
from skyeye_edge.runtime.model import Model, load
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.stream import Stream

SHORT: list[Task] = [Classify(("harbour", "farmland"))]  # the automaton keeps it short
PICTURE = np.full((40, 60, 3), 90, np.uint8)


def check_sums(events: list[Event]) -> None:
    """Answers and summary account for every frame exactly once."""
    *others, summary = events
    assert isinstance(summary, SummaryEvent)
    answers = [event for event in others if isinstance(event, AnswerEvent)]
    dropped = sum(summary.counts.dropped.values())
    assert summary.answered == sum(len(event.frames) for event in answers)
    assert summary.counts.received == summary.answered + summary.counts.skipped + dropped
    told = sum((event.counts for event in answers), Counts())
    assert told.received <= summary.counts.received
    for event in answers:
        inside = len(event.frames) + event.counts.skipped + sum(event.counts.dropped.values())
        assert event.counts.received == inside


def test_a_clip_becomes_one_answer_per_interval_an_end_and_a_summary(
    tiny: Model, demo_clip: Path
) -> None:
    with tiny.stream(demo_clip, tasks=[*SHORT, Ground("a boat")], every=2.0) as stream:
        events = list(stream)

    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert [event.time for event in answers] == pytest.approx(
        [2.0 * n for n in range(len(answers))]
    )
    assert [type(event) for event in events[-2:]] == [StateEvent, SummaryEvent]
    assert {len(event.results) for event in answers} == {2}
    assert all(event.model == tiny.description for event in answers)
    assert all(event.timing_ms[step] > 0 for event in answers for step in ("decode", "age"))
    check_sums(events)


def test_events_travel_as_json_and_as_pickles(tiny: Model, demo_clip: Path) -> None:
    with tiny.stream(demo_clip, tasks=SHORT, every=4.0) as stream:
        event = next(stream)

    assert isinstance(event, AnswerEvent)
    read = parse_event(event.to_json())
    assert isinstance(read, AnswerEvent)
    assert (read.frames, read.counts, read.size) == (event.frames, event.counts, event.size)
    assert pickle.loads(pickle.dumps(event)) == event


def test_what_a_stream_answers_is_what_a_call_answers(tiny: Model, demo_clip: Path) -> None:
    with closing(FileSource(demo_clip)) as source:
        frame = next(source.items(0.0))
    assert isinstance(frame, Frame)

    with tiny.stream(demo_clip, tasks=[Caption()], every=0) as stream:
        event = next(stream)

    assert isinstance(event, AnswerEvent)
    assert event.results == tuple(tiny.run(frame, [Caption()]))


def test_damaged_pictures_are_answered_if_they_are_wanted(
    tiny: Model, demo_clip: Path, tmp_path: Path
) -> None:
    data = bytearray(demo_clip.read_bytes())
    for place in range(len(data) // 4, len(data) // 2, 4000):
        data[place] ^= 0xFF
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data)

    def answered(keep_damaged: bool) -> set[int]:
        with tiny.stream(torn, SHORT, every=0, keep_damaged=keep_damaged) as stream:
            events = list(stream)
        check_sums(events)
        return {event.frames[0] for event in events if isinstance(event, AnswerEvent)}

    assert answered(keep_damaged=False) < answered(keep_damaged=True)


def test_several_frames_are_asked_about_as_one_clip(tiny_for_clips: Model, demo_clip: Path) -> None:
    with tiny_for_clips.stream(demo_clip, SHORT, every=1.0, clip=3) as stream:
        events = list(stream)

    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert {len(event.frames) for event in answers[:-1]} == {3}
    assert 1 <= len(answers[-1].frames) <= 3
    check_sums(events)


def test_a_clip_longer_than_the_model_knows_is_refused_before_the_stream_begins(
    tiny_for_clips: Model, demo_clip: Path
) -> None:
    with pytest.raises(InputError, match=r"clip of 5 frames.* up to 4 frames"):
        tiny_for_clips.stream(demo_clip, SHORT, clip=5)


def test_a_stop_ends_with_a_summary_in_which_nothing_is_missing(
    tiny: Model, demo_clip: Path
) -> None:
    with tiny.stream(demo_clip, tasks=SHORT, every=0) as stream:
        events = [next(stream), next(stream)]
        stream.stop()
        events += stream

    assert [type(event) for event in events[2:]] == [StateEvent, SummaryEvent]
    check_sums(events)


def test_a_closed_stream_says_so_and_closes_twice(tiny: Model, demo_clip: Path) -> None:
    stream = tiny.stream(demo_clip, tasks=SHORT, every=0)
    next(stream)
    stream.close()
    stream.close()

    with pytest.raises(ClosedError, match="this stream is closed"):
        next(stream)
    assert not [t for t in threading.enumerate() if t.name == f"read {demo_clip.name}"]


def test_the_model_goes_on_when_a_stream_is_closed(tiny: Model, demo_clip: Path) -> None:
    with tiny.stream(demo_clip, tasks=SHORT, every=0) as stream:
        next(stream)

    assert tiny.classify(Frame(PICTURE), ["harbour", "farmland"]).label


def test_pushed_frames_are_answered_while_others_are_pushed(tiny: Model) -> None:
    camera = Push()
    events: list[Event] = []
    asking = threading.Thread(
        target=lambda: events.extend(tiny.stream(camera, tasks=SHORT, every=0))
    )
    asking.start()
    for number in range(50):
        camera.push(PICTURE, time=number / 10)
    camera.end()
    asking.join(timeout=300)

    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.received == 50
    check_sums(events)


def test_what_was_pushed_along_with_a_frame_comes_back_in_its_event(tiny: Model) -> None:
    camera = Push(slots=4)
    for number in range(3):
        camera.push(np.zeros((4, 6, 3), np.uint8), time=float(number), user={"id": number})
    camera.push(np.zeros((4, 6, 3), np.uint8), time=3.0)
    camera.end()

    with tiny.stream(camera, [Caption()], every=0) as events:
        lines = [event.to_json() for event in events if isinstance(event, AnswerEvent)]

    back = [parse_event(line) for line in lines]
    assert [event.user for event in back if isinstance(event, AnswerEvent)] == [
        {"id": 0}, {"id": 1}, {"id": 2}, None,
    ]  # fmt: skip
    assert ["user" in json.loads(line) for line in lines] == [True, True, True, False]


def test_streams_that_say_the_same_at_the_same_time_have_events_of_different_ids(
    tiny: Model,
) -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
    ids: list[str] = []
    for _ in range(4):
        camera = Push("camera")
        camera.push(PICTURE, time=0.0)
        camera.end()
        stream = Stream(tiny.submit, camera, SHORT, 0.0, utc=lambda: noon)
        ids += [event.id for event in stream]

    assert len(set(ids)) == len(ids) == 12


def test_a_model_that_fails_ends_the_stream_in_order_and_then_raises(
    tiny_bundle: Path, demo_clip: Path
) -> None:
    model = load(tiny_bundle)
    events: list[Event] = []
    with model.stream(demo_clip, tasks=SHORT, every=0) as stream:
        events.append(next(stream))
        model.close()
        with pytest.raises(SkyEyeError):
            events.extend(stream)

    *answers, state, end = events  # what had been asked ahead may be answered
    assert {type(event) for event in answers} == {AnswerEvent} and len(answers) <= 3
    assert (type(state), type(end)) == (StateEvent, SummaryEvent)
    check_sums(events)
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.dropped["closed"] >= 1


@pytest.mark.parametrize(
    ("tasks", "clip", "every", "message"),
    [
        pytest.param([], 1, 1.0, "at least one task", id="nothing asked"),
        pytest.param([Ground("x")], 2, 1.0, "one frame", id="a box on a clip"),
        pytest.param(SHORT, 0, 1.0, "asked about as one", id="an empty clip"),
        pytest.param(SHORT, 1, -1.0, "seconds between answers", id="negative interval"),
    ],
)
def test_a_wrong_request_is_refused_at_once(
    tiny: Model, demo_clip: Path, tasks: list[Task], clip: int, every: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tiny.stream(demo_clip, tasks, every=every, clip=clip)


class Camera:
    """A source that fails on the way, as hardware does."""

    name = "camera"

    def items(self, every: float) -> Iterator[Frame | SourceChange]:
        yield SourceChange("LIVE", "frames arrive")
        yield Frame(PICTURE, 0.0, 0, before=Counts(3, 2, {"decode": 1}))
        yield SourceChange("ENDED", "unplugged", before=Counts(2, 0, {"decode": 2}))

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_source_of_ones_own_is_streamed_like_any_other(tiny: Model) -> None:
    with tiny.stream(Camera(), tasks=SHORT) as stream:
        events = list(stream)

    assert {event.source for event in events} == {"camera"}
    check_sums(events)
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert (summary.counts.received, summary.counts.dropped["decode"]) == (6, 3)


def test_a_gate_answers_a_still_scene_once_and_carries_the_answer_in_heartbeats(
    tiny: Model,
) -> None:
    camera, other = Push(slots=40), PICTURE.copy()
    other[10:20, 20:40] = 255
    for number in range(40):
        camera.push(PICTURE if number < 30 else other, time=number / 10)
    camera.end()

    with tiny.stream(camera, [Caption()], every=0, gate=True, heartbeat=1.0) as stream:
        events = list(stream)

    check_sums(events)
    answers = [event for event in events if isinstance(event, AnswerEvent)]
    asked = [event for event in answers if event.frames]
    beats = [event for event in answers if not event.frames]
    assert [event.frames for event in asked] == [(0,), (30,)]
    assert max(b.time - a.time for a, b in pairwise(answers)) <= 1.0
    assert [(event.results[0].carried_from, event.results[0].verified_at) for event in beats] == [
        (0 if event.time < 3 else 30, event.time) for event in beats
    ]
    lines = [event.to_json() for event in beats]
    read = [parse_event(line) for line in lines]
    assert [event.to_json() for event in read if event is not None] == lines
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.dropped["gate"] == 38


def test_a_gate_does_not_compare_clips(tiny_for_clips: Model) -> None:
    with pytest.raises(InputError, match="single frames"):
        tiny_for_clips.stream(Push(), SHORT, clip=2, gate=True)


def test_a_frame_that_is_too_old_when_its_turn_comes_is_dropped_as_stale(tiny: Model) -> None:
    camera = Push(slots=3)
    for number in range(3):
        camera.push(PICTURE, time=float(number))
    camera.end()

    with tiny.stream(camera, SHORT, every=0, max_age=0.0) as stream:
        events = list(stream)

    check_sums(events)
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert (summary.answered, summary.counts.dropped["stale"]) == (0, 3)


def test_a_budget_that_cannot_be_met_leaves_out_words_tasks_and_frames_and_says_so(
    tiny: Model, demo_clip: Path
) -> None:
    tasks: list[Task] = [Caption(), Ground("a boat"), Ground("a car")]

    with tiny.stream(demo_clip, tasks, every=0.1, max_latency=1e-6) as stream:
        events = list(stream)

    check_sums(events)
    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert answers[0].left_out is None
    last = answers[-1].left_out
    assert last is not None and (last.words, len(last.tasks), last.one_in) == (12, 2, 8)
    assert all(len(event.results) == 3 for event in answers)
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.dropped["budget"] > summary.answered


def test_a_stream_that_nobody_holds_any_more_reads_and_asks_no_more(
    tiny: Model, demo_clip: Path
) -> None:
    before = set(threading.enumerate())
    stream = tiny.stream(demo_clip, SHORT, every=0)
    next(stream)
    started = set(threading.enumerate()) - before

    del stream
    for thread in started:
        thread.join(timeout=300)

    assert {thread.name for thread in started} == {
        f"ask {demo_clip.name}", f"read {demo_clip.name}",
    }  # fmt: skip
    assert not any(thread.is_alive() for thread in started)


def test_no_more_is_asked_ahead_than_one_frame(tiny: Model) -> None:
    asked: list[int] = []
    camera = Push(slots=9)
    for number in range(9):
        camera.push(PICTURE, time=float(number))
    camera.end()

    def submit(question: Question) -> Future[Answer]:
        asked.append(question.frames[0].index)
        return tiny.submit(question)

    counts = []
    for event in Stream(submit, camera, SHORT, 0.0):
        if isinstance(event, AnswerEvent):
            counts.append(len(asked) - event.frames[0])

    assert asked == list(range(9))
    assert max(counts) <= 3  # this one, one ahead, and one more as soon as this was taken


def test_a_task_that_cannot_be_asked_is_said_once_and_those_beside_it_go_on(
    tiny_bundle: Path, demo_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = Ask("is it a boat or " * 1500)
    with (
        load(tiny_bundle) as model,
        model.stream(demo_clip, [Caption(), long], every=3) as events,
    ):
        answers = [event for event in events if isinstance(event, AnswerEvent)]

    assert len(answers) > 1
    assert {event.results[0].outcome for event in answers} == {"text"}
    assert {event.results[1].outcome for event in answers} == {"failed"}
    assert sum("cannot be asked" in record.message for record in caplog.records) == 1


def test_a_stream_whose_every_task_cannot_be_asked_ends_with_the_reason(
    tiny_bundle: Path, demo_clip: Path
) -> None:
    with (
        load(tiny_bundle) as model,
        model.stream(demo_clip, [Ask("is it a boat or " * 1500)], every=1) as events,
        pytest.raises(InputError, match="context"),
    ):
        assert [event for event in events if isinstance(event, AnswerEvent)] == []
