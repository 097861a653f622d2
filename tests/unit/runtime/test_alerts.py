"""Alerts: what is evidence, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import (
    AlertEvent,
    AnswerEvent,
    GateDecision,
    StateEvent,
    build_answer,
    build_heartbeat,
    build_state,
    parse_event,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import ClassifyResult, GroundResult, TaskResult, TextResult, carry
from skyeye_edge.core.tasks import Ask, Caption, Classify, Ground
from skyeye_edge.runtime.alerts import Alarm, Alert, add_alert_tasks, as_alerts, parse_alert

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SMOKE = Alert("smoke", begin_at=0.6, end_at=0.4, needed=2, of=3, cooldown=0)
ENDED = SourceChange("ENDED", "the end of the file", time=99.0)
BOX = Box((1, 1, 2, 3), 0.9)


def frame(second: float, epoch: int = 0) -> Frame:
    return Frame(np.zeros((4, 8, 3), np.uint8), second, int(second * 10), epoch, source="cam")


def smoke(score: float) -> ClassifyResult:
    """How surely the model says that there is smoke."""
    label, probability = ("yes", score) if score >= 0.5 else ("no", 1 - score)
    return ClassifyResult(label, "text", score=probability, question="is there smoke?")


def answer(second: float, *results: TaskResult, epoch: int = 0) -> AnswerEvent:
    pictures = [frame(second, epoch)]
    return build_answer(
        pictures, results, Counts(1), NOON, timing_ms={}, model={}, nonce=f"{second}"
    )


def ended() -> StateEvent:
    return build_state(ENDED, "cam", NOON)


def phases(alarm: Alarm, scores: Sequence[float], epoch: int = 0, start: int = 0) -> str:
    """What a second-by-second row of answers brings: b(egin), u(pdate), e(nd), or . for nothing."""
    told = [
        alarm.update(answer(start + second, smoke(score), epoch=epoch))
        for second, score in enumerate(scores)
    ]
    return "".join(each[0][0].phase[0] if each else "." for each in told)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        pytest.param([0.9, 0.9], ".b", id="two of three"),
        pytest.param([0.9, 0.1, 0.9], "..b", id="with one between"),
        pytest.param([0.9, 0.1, 0.1, 0.9], "....", id="one of three, twice"),
        pytest.param([0.6, 0.6, 0.5, 0.4], ".buu", id="between the levels it goes on"),
        pytest.param([0.5, 0.5, 0.5], "...", id="and does not begin"),
        pytest.param([0.9, 0.9, 0.1, 0.9, 0.1], ".b.ue", id="it ends as it began"),
        pytest.param([0.9, 0.9, 0.1, 0.1, 0.9], ".b.e.", id="after an end all counts afresh"),
        pytest.param([0.9, 0.9, 0.1, 0.1, 0.9, 0.9], ".b.e.b", id="it may come again"),
    ],
)
def test_an_alert_begins_and_ends_by_so_many_of_so_many_answers(
    scores: list[float], said: str
) -> None:
    assert phases(Alarm([SMOKE]), scores) == said


def test_a_begin_names_its_evidence_and_carries_the_picture() -> None:
    alarm, shown = Alarm([SMOKE]), frame(2)
    first, second, third = (
        answer(number, smoke(score)) for number, score in enumerate([0.9, 0.2, 0.8])
    )

    assert (alarm.update(first), alarm.update(second)) == ((), ())
    ((event, picture),) = alarm.update(third, shown)

    assert (event.alert, event.phase, event.why, event.score) == ("smoke", "begin", "seen", 0.8)
    assert event.evidence == (first.id, third.id)
    assert event.frames == (0, 20)
    assert picture is shown
    assert (event.source, event.time, event.utc) == (third.source, third.time, third.utc)
    ((again, none),) = alarm.update(answer(3, smoke(0.9)), frame(3))
    assert (again.phase, none) == ("update", None)
    assert parse_event(event.to_json()) == event


def test_the_end_of_the_source_ends_what_stands_with_the_last_picture_that_showed_it() -> None:
    alarm, shown = Alarm([SMOKE]), frame(1)
    alarm.update(answer(0, smoke(0.9)))
    alarm.update(answer(1, smoke(0.9)), shown)
    alarm.update(answer(2, smoke(0.1)), frame(2))

    ((event, picture),) = alarm.update(ended())

    assert (event.phase, event.why, event.time, event.frames) == ("end", "ended", 99.0, (10,))
    assert picture is shown
    assert alarm.update(ended()) == ()


def test_after_an_end_there_is_quiet_for_the_cooldown() -> None:
    alarm = Alarm([replace(SMOKE, needed=1, of=1, cooldown=3.0)])

    assert phases(alarm, [0.9, 0.1, 0.9, 0.9, 0.9, 0.9]) == "be..bu"


def test_a_clock_that_starts_again_does_not_lengthen_the_cooldown_for_ever() -> None:
    alarm = Alarm([replace(SMOKE, needed=1, of=1, cooldown=3.0)])

    assert phases(alarm, [0.9, 0.1], start=1000) == "be"
    assert phases(alarm, [0.9, 0.9, 0.9, 0.9], epoch=1) == "...b"


def test_what_stands_goes_on_when_the_source_begins_anew_and_votes_do_not() -> None:
    alarm = Alarm([SMOKE])

    assert phases(alarm, [0.9, 0.9, 0.1]) == ".b."
    assert phases(alarm, [0.1, 0.9, 0.1], epoch=1) == ".ue"


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param(carry(smoke(0.1), 0, 1.0), id="carried"),
        pytest.param(replace(smoke(0.1), label="", outcome="failed"), id="failed"),
        pytest.param(replace(smoke(0.1), label="", outcome="cut"), id="cut"),
        pytest.param(
            replace(smoke(0.1), question="is there smoke? really?"), id="another question"
        ),
        pytest.param(TextResult("ask", "text", "no", question="is there smoke?"), id="free text"),
        pytest.param(GroundResult("smoke", "absent", ()), id="not what is asked"),
    ],
)
def test_what_is_no_new_answer_to_the_question_is_no_evidence(nothing: TaskResult) -> None:
    alarm = Alarm([SMOKE])
    alarm.update(answer(0, smoke(0.9)))
    alarm.update(answer(1, smoke(0.9)))

    told = [alarm.update(answer(second, nothing)) for second in range(2, 9)]

    assert told == [()] * 7
    assert [event.phase for event, _ in alarm.update(ended())] == ["end"]


def test_a_heartbeat_holds_what_stands_and_begins_nothing() -> None:
    alarm = Alarm([SMOKE])
    last, told = answer(0, smoke(0.9)), list[object]()
    alarm.update(last)

    for second in range(1, 5):
        gate = GateDecision(False, "unchanged", heartbeat=True)
        last = build_heartbeat(frame(second), last, Counts(1), NOON, gate=gate)
        told += alarm.update(last)

    assert told == []
    assert phases(alarm, [0.9], start=5) == "b"


@pytest.mark.parametrize(
    ("result", "score"),
    [
        pytest.param(GroundResult("smoke", "found", (BOX,), score=0.9), 0.9, id="found"),
        pytest.param(GroundResult("smoke", "uncertain", (), score=0.3), 0.3, id="uncertain"),
        pytest.param(GroundResult("smoke", "absent", (), score=0.8), 0.0, id="absent"),
        pytest.param(GroundResult("smoke", "unreadable", ()), None, id="unreadable"),
        pytest.param(GroundResult("white smoke", "found", (BOX,)), None, id="another phrase"),
    ],
)
def test_a_box_speaks_for_it_with_its_score(result: GroundResult, score: float | None) -> None:
    seen = Alert("smoke", by="ground").look([result])

    assert (seen.score if seen else None) == score


def test_the_box_goes_with_the_alert() -> None:
    alarm = Alarm([Alert("smoke", by="ground", needed=1, of=1)])

    ((event, _),) = alarm.update(answer(0, GroundResult("smoke", "found", (BOX,), score=0.9)))

    assert [box.xyxy for box in event.boxes] == [BOX.xyxy]
    assert (event.size, event.to_dict()["boxes"][0]["xyxy"]) == ((8, 4), [1, 1, 2, 3])


def test_nothing_is_asked_twice() -> None:
    alerts = [Alert("smoke"), Alert("is there smoke?"), Alert("a boat", by="ground"), Alert("fire")]

    asked = add_alert_tasks([Caption(), Ground("a boat", 0.5), Ask("is there smoke?")], alerts)

    assert asked == (
        Caption(), Ground("a boat", 0.5), Ask("is there smoke?"),
        Classify(("yes", "no"), "is there smoke?"), Classify(("yes", "no"), "is there fire?"),
    )  # fmt: skip


def test_alerts_can_be_changed_while_they_stand() -> None:
    fire = Alert("fire")
    alarm = Alarm([SMOKE, fire])
    phases(alarm, [0.9, 0.9])

    ((event, _),) = alarm.change([fire])

    assert (event.alert, event.phase, event.why) == ("smoke", "end", "removed")
    assert alarm.alerts == (fire,)
    assert alarm.change([fire, SMOKE]) == ()
    assert phases(alarm, [0.9, 0.9], start=2) == ".b"


def test_an_alert_that_stays_among_the_alerts_goes_on() -> None:
    alarm = Alarm([SMOKE])
    phases(alarm, [0.9, 0.9])

    assert alarm.change([Alert("fire"), SMOKE]) == ()
    assert phases(alarm, [0.9, 0.1, 0.1], start=2) == "u.e"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("smoke", {}, id="a phrase"),
        pytest.param(" smoke ; ", {}, id="with space"),
        pytest.param(
            "smoke; by=ground; 3 of 5", {"by": "ground", "needed": 3, "of": 5}, id="3 of 5"
        ),
        pytest.param(
            "smoke; begin_at = 0.9; end_at=0.2; cooldown=1.5; name=my smoke",
            {"begin_at": 0.9, "end_at": 0.2, "cooldown": 1.5, "name": "my smoke"},
            id="all the rest",
        ),
    ],
)
def test_an_alert_can_be_written_on_a_line(text: str, values: Mapping[str, Any]) -> None:
    assert (
        parse_alert(text) == Alert("smoke", **values) == parse_alert({"phrase": "smoke", **values})
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("", "no phrase", id="nothing"),
        pytest.param("; by=ground", "no phrase", id="no phrase"),
        pytest.param({"by": "ground"}, "no phrase", id="no phrase in a file"),
        pytest.param("smoke; cool=3", "did you mean 'cooldown'", id="a misspelt setting"),
        pytest.param("smoke; often", "no setting", id="no setting"),
        pytest.param("smoke; cooldown=soon", "give a number", id="no number"),
        pytest.param("smoke; 5 of 3", "from 5 up", id="more than there are"),
        pytest.param("smoke; 0 of 3", "from 1 up", id="none"),
        pytest.param("smoke; begin_at=0.2; end_at=0.4", "from 0 to 0.2", id="ends above its begin"),
        pytest.param("smoke; begin_at=7", "from 0 to 1", id="no share"),
        pytest.param({"phrase": "smoke", "begin_at": "x"}, "from 0 to 1", id="a word"),
        pytest.param({"phrase": "smoke", "of": [3]}, "of", id="a list"),
        pytest.param({"phrase": "smoke", 3: 4}, "no setting 3", id="a number for a setting"),
        pytest.param("caf\udce9", "not valid text", id="bytes that are no text"),
        pytest.param("smoke; by=ear", "yes_no, ground", id="an unknown way"),
        pytest.param("is it on fire?; by=ground", "is a question", id="a question has no place"),
        pytest.param({"phrase": 3}, "no text", id="a number"),
    ],
)
def test_an_alert_that_is_none_is_refused_with_what_to_give(said: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_alert(said)


def test_two_alerts_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two alerts are called 'smoke'"):
        as_alerts([Alert("smoke"), Alert("smoke", by="ground")])


alerts = st.builds(
    Alert,
    st.just("smoke"),
    begin_at=st.sampled_from([0.5, 0.7]),
    end_at=st.sampled_from([0.2, 0.5]),
    needed=st.integers(1, 3),
    of=st.integers(3, 5),
    cooldown=st.sampled_from([0.0, 2.0, 7.5]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[AnswerEvent | StateEvent]:
    """Answers, some carried or failed, of a source that may begin anew, its clock as well."""
    events: list[AnswerEvent | StateEvent] = []
    second, epoch = 0.0, 0
    for number in range(draw(st.integers(0, 40))):
        kind = draw(st.sampled_from(["new"] * 6 + ["carried", "failed", "anew", "back"]))
        epoch += kind in ("anew", "back")
        second = 0.0 if kind == "back" else second + draw(st.sampled_from([0.1, 1.0, 4.0]))
        said = smoke(draw(st.sampled_from([0.0, 0.3, 0.55, 0.8, 1.0])))
        if kind == "carried":
            said = replace(said, carried_from=number, verified_at=second)
        if kind == "failed":
            said = replace(said, label="", outcome="failed")
        events.append(answer(second, said, epoch=epoch))
    return [*events, ended()]


def heard(alert: Alert, events: Sequence[AnswerEvent | StateEvent]) -> list[AlertEvent]:
    alarm = Alarm([alert])
    return [told for event in events for told, _ in alarm.update(event)]


@given(alert=alerts, events=histories())
def test_phases_come_in_order_and_every_begin_has_one_end(
    alert: Alert, events: list[AnswerEvent | StateEvent]
) -> None:
    told = [event.phase for event in heard(alert, events)]

    assert "".join(phase[0] for phase in told if phase != "update") == "be" * told.count("begin")
    stands = [told[:place].count("begin") - told[:place].count("end") for place in range(len(told))]
    assert all(stands[place] == 1 for place, phase in enumerate(told) if phase != "begin")


@given(alert=alerts, events=histories())
def test_the_same_events_give_the_same_alerts(
    alert: Alert, events: list[AnswerEvent | StateEvent]
) -> None:
    written = [parse_event(event.to_json()) for event in events]
    replayed = [each for each in written if isinstance(each, AnswerEvent | StateEvent)]

    assert heard(alert, events) == heard(alert, replayed)


@given(alert=alerts, events=histories())
def test_evidence_is_enough_of_one_epoch_and_new(
    alert: Alert, events: list[AnswerEvent | StateEvent]
) -> None:
    answers = {event.id: event for event in events if isinstance(event, AnswerEvent)}

    for event in heard(alert, events):
        evidence = [answers[each] for each in event.evidence]
        assert len(evidence) >= (alert.needed if event.why in ("seen", "gone") else 1) or (
            event.phase == "update" and len(evidence) == 1
        )
        assert event.why == "ended" or {each.epoch for each in evidence} == {event.epoch}
        assert all(alert.look(each.results) is not None for each in evidence)


@given(alert=alerts, events=histories())
def test_between_an_end_and_the_next_begin_lies_the_cooldown(
    alert: Alert, events: list[AnswerEvent | StateEvent]
) -> None:
    told = [event for event in heard(alert, events) if event.phase != "update"]

    for end, begin in zip(told[1::2], told[2::2], strict=False):
        assert begin.epoch > end.epoch or begin.time - end.time >= alert.cooldown
