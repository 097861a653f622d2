"""Alerts of the packaged model, about flights in which something comes and goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from skyeye_edge.cli.main import main
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import (
    AlertEvent,
    AnswerEvent,
    ControlEvent,
    Event,
    SummaryEvent,
    parse_event,
)
from skyeye_edge.core.frame import Counts, Frame
from skyeye_edge.core.tasks import Caption, Classify, Ground, Task, task_values
from skyeye_edge.runtime.alerts import Alarm, Alert
from skyeye_edge.runtime.control import Control
from skyeye_edge.runtime.model import Model
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.training.data.synthetic import render_scene

RIVER, FIELDS = 1_000_000, 1_000_002  # scenes: boats on a river; roads with cars
BOAT = Alert("a boat", cooldown=0)
CAR = Alert("is there a car?", name="traffic", cooldown=0)
Pixels = npt.NDArray[np.uint8]


class Shelf:
    """A sink that keeps what it is given."""

    name = "shelf"

    def __init__(self) -> None:
        self.taken: list[tuple[Event, Frame | None]] = []

    def write(self, event: Event, frame: Frame | None) -> None:
        self.taken.append((event, frame))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def views() -> dict[int, Pixels]:
    return {seed: np.asarray(render_scene(seed).image) for seed in (RIVER, FIELDS)}


def flight(views: dict[int, Pixels], seeds: Sequence[int]) -> Push:
    """A source that shows these scenes, one a second."""
    camera = Push("flight", slots=len(seeds))
    for second, seed in enumerate(seeds):
        camera.push(views[seed], time=float(second))
    camera.end()
    return camera


def watch(
    model: Model,
    source: Push,
    alerts: Sequence[Alert],
    tasks: Sequence[Task] = (),
    *,
    gate: bool = False,
) -> tuple[list[Event], Shelf]:
    shelf = Shelf()
    with model.stream(
        source, tasks, every=0, alerts=alerts, sinks=[shelf], max_latency=None, gate=gate
    ) as stream:
        return list(stream), shelf


def turns(events: Sequence[Event], name: str) -> list[tuple[str, str, float]]:
    """Begins and ends of an alert: phase, why, and when."""
    return [
        (event.phase, event.why, event.time)
        for event in events
        if isinstance(event, AlertEvent) and event.alert == name and event.phase != "update"
    ]


COMES_AND_GOES = [FIELDS] * 3 + [RIVER] * 4 + [FIELDS] * 4


def test_what_comes_and_goes_begins_once_and_ends_once_with_evidence(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    events, shelf = watch(tiny, flight(views, COMES_AND_GOES), [BOAT])

    assert turns(events, "a boat") == [("begin", "seen", 4.0), ("end", "gone", 8.0)]
    answers = {event.id: event for event in events if isinstance(event, AnswerEvent)}
    begin, *_, end = [each for each in shelf.taken if isinstance(each[0], AlertEvent)]
    assert isinstance(begin[0], AlertEvent) and isinstance(end[0], AlertEvent)
    assert [answers[each].time for each in begin[0].evidence] == [3.0, 4.0]
    assert [answers[each].time for each in end[0].evidence] == [7.0, 8.0]
    assert begin[1] is not None and np.array_equal(begin[1].rgb, views[RIVER])
    assert end[1] is not None and np.array_equal(end[1].rgb, views[FIELDS])
    assert begin[0].frames[-1] == begin[1].index
    assert all(parse_event(event.to_json()) is not None for event in events)


def test_two_alerts_beside_captions_and_boxes_do_not_touch_each_other(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    tasks: list[Task] = [Caption(), Ground("a boat"), BOAT.task]

    events, _ = watch(tiny, flight(views, COMES_AND_GOES), [BOAT, CAR], tasks)
    plain, _ = watch(tiny, flight(views, COMES_AND_GOES), [], tasks)

    assert turns(events, "a boat") == [("begin", "seen", 4.0), ("end", "gone", 8.0)]
    assert turns(events, "traffic") == [
        ("begin", "seen", 1.0),
        ("end", "gone", 4.0),
        ("begin", "seen", 8.0),
        ("end", "ended", events[-1].time),
    ]
    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert [len(event.results) for event in answers] == [4] * len(COMES_AND_GOES)
    # what was asked beside them is answered as ever, and stands first
    assert [event.results[:3] for event in answers] == [
        event.results for event in plain if isinstance(event, AnswerEvent)
    ]


def test_an_alert_by_boxes_says_where(tiny: Model, views: dict[int, Pixels]) -> None:
    seen = Alert("a car", by="ground", begin_at=0.0, end_at=0.0, needed=1, of=1)

    events, _ = watch(tiny, flight(views, [FIELDS]), [seen], [Ground("a car")])

    (answer,) = [event for event in events if isinstance(event, AnswerEvent)]
    begin, end = [event for event in events if isinstance(event, AlertEvent)]
    (result,) = answer.results
    assert begin.score == pytest.approx(result.score, abs=1e-6)
    assert [("a car", begin.boxes)] == list(result.named_boxes())
    assert (end.phase, end.why) == ("end", "ended")


def test_with_a_gate_an_alert_stands_on_what_was_asked(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    source = flight(views, [FIELDS, *[RIVER] * 6, FIELDS])
    once = replace(BOAT, needed=1, of=1)

    events, _ = watch(tiny, source, [once], gate=True)

    assert turns(events, "a boat") == [("begin", "seen", 1.0), ("end", "gone", 7.0)]
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.dropped["gate"] == 5
    assert summary.counts.received == summary.answered + 5


def test_a_picture_that_does_not_change_is_looked_at_again_until_it_is_decided(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    camera = Push("hover")
    events: list[Event] = []
    camera.push(views[RIVER], time=0.0)

    with tiny.stream(camera, every=0, gate=True, alerts=[BOAT]) as stream:
        for event in stream:
            events.append(event)
            if isinstance(event, AnswerEvent):  # the next one comes when this one is heard
                camera.push(views[RIVER], time=event.time + 1)
            if isinstance(event, AlertEvent):
                camera.end()

    assert turns(events, "a boat")[0] == ("begin", "seen", 1.0)


def test_the_written_events_give_the_same_alerts_again(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    events, _ = watch(tiny, flight(views, COMES_AND_GOES), [BOAT, CAR])
    alarm = Alarm([BOAT, CAR])

    again: list[Event] = []
    for event in (parse_event(event.to_json()) for event in events):
        if event is not None:
            again += [told for told, _ in alarm.update(event)]

    assert [event.to_dict() for event in again if isinstance(event, AlertEvent)] == [
        event.to_dict() for event in events if isinstance(event, AlertEvent)
    ]


def test_alerts_change_while_a_stream_runs(tiny: Model, views: dict[int, Pixels]) -> None:
    camera, begun = Push("flight"), threading.Event()
    events: list[Event] = []

    def fly() -> None:
        for second in range(1000):
            camera.push(views[RIVER], time=float(second))
            if begun.wait(0.02):
                break
        camera.end()

    pilot = threading.Thread(target=fly, name="pilot")
    with tiny.stream(camera, every=0, alerts=[BOAT]) as stream:
        pilot.start()
        for event in stream:
            events.append(event)
            if isinstance(event, AlertEvent) and event.phase == "begin":
                stream.set_tasks([Caption()], alerts=[CAR])
                begun.set()
    pilot.join()

    assert [turn[:2] for turn in turns(events, "a boat")] == [("begin", "seen"), ("end", "removed")]
    assert (stream.tasks, stream.alerts) == ((Caption(),), (CAR,))
    asked = [event.tasks for event in events if isinstance(event, ControlEvent)]
    assert asked == [({"task": "caption"}, task_values(CAR.task))]


def test_two_alerts_of_one_name_are_refused_before_anything_is_opened(tiny: Model) -> None:
    with pytest.raises(InputError, match="two alerts are called 'a boat'"):
        tiny.stream(Push(), alerts=[BOAT, BOAT])


def test_counts_add_up_with_alerts(tiny: Model, views: dict[int, Pixels]) -> None:
    events, _ = watch(tiny, flight(views, COMES_AND_GOES), [BOAT], [Classify(("road", "river"))])

    told = sum((event.counts for event in events if isinstance(event, AnswerEvent)), Counts())
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert told.received == summary.counts.received == summary.answered == len(COMES_AND_GOES)


def test_the_command_says_when_an_alert_begins_and_ends(
    demo_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["watch", str(demo_clip), "--every", "2", "--json", "--alert", "is there a road?; 1 of 1",
         "--alert", "a boat; by=ground; begin_at=0; end_at=0; 1 of 1; name=boat"]
    )  # fmt: skip

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    phases = [event["phase"] for event in events if event.get("alert") == "boat"]
    assert code == 0
    assert (phases[0], phases[-1]) == ("begin", "end")


def test_people_are_told_of_begins_and_ends_only(
    demo_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        ["watch", str(demo_clip), "--every", "2", "--alert", "a boat; begin_at=0; end_at=0; 1 of 1"]
    )

    told = [line for line in capsys.readouterr().out.splitlines() if "ALERT" in line]
    assert ["begins" in told[0], "the stream has ended" in told[-1], len(told)] == [True, True, 2]


def test_an_alert_that_is_none_is_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["watch", "nothing.mp4", "--alert", "smoke; cool=3"])

    assert code == 2
    assert "did you mean 'cooldown'" in capsys.readouterr().err


def test_an_alert_that_is_forgotten_is_not_asked_about_any_more(
    tiny: Model, tmp_path: Path
) -> None:
    with tiny.streams([Push()], [Caption()]) as streams:
        (stream,), control = streams.streams, Control(streams, tmp_path)
        control.obey("alert smoke; 3 of 5")
        watched = stream.alerts
        control.obey("forget smoke")

    assert watched == (Alert("smoke", needed=3, of=5),)
    assert (stream.alerts, stream.tasks) == ((), (Caption(),))
    assert stream._asking.wanted.tasks == (Caption(),)


def test_a_question_with_two_answers_gets_one_and_its_probability(
    tiny: Model, views: dict[int, Pixels]
) -> None:
    yes = tiny.classify(views[RIVER], ["yes", "no"], question="is there a boat?")
    turned = tiny.classify(views[RIVER], ["no", "yes"], question="is there a boat?")
    chat = tiny.chat(views[RIVER]).classify(["yes", "no"], question="is there a boat?")

    assert (yes.label, chat.label, turned.label) == ("yes", "yes", "yes")
    assert 0.5 < yes.score < 1
    assert (turned.score, chat.score) == pytest.approx((yes.score, yes.score), abs=1e-4)


def test_of_a_file_the_gate_lets_the_same_frames_through_in_every_run(
    tiny: Model, views: dict[int, Pixels], tmp_path: Path
) -> None:
    for second, seed in enumerate([FIELDS, *[RIVER] * 8, *[FIELDS] * 8]):
        Image.fromarray(views[seed]).save(tmp_path / f"{second:02}.png")
    alerts = [replace(BOAT, needed=3, of=4), CAR]

    runs = []
    for _ in range(3):
        with tiny.stream(tmp_path, every=0, gate=True, alerts=alerts) as stream:
            runs.append(list(stream))

    asked = [[event.frames for event in run if isinstance(event, AnswerEvent)] for run in runs]
    assert asked[0] == asked[1] == asked[2]
    assert 6 < len(asked[0]) < 17
    assert {turns(run, "a boat")[0][:2] for run in runs} == {("begin", "seen")}
