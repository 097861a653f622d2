"""What is left out when there is no time: words, then tasks, then frames; and how it comes back."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent, SummaryEvent, parse_event
from skyeye_edge.core.results import GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Ground, Task
from skyeye_edge.runtime.budget import Budget, Plan
from skyeye_edge.runtime.gate import Gate
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.stream import Stream

TASKS: tuple[Task, ...] = (Caption(), Ground("a boat"), Ask("Is there smoke?"))


def seconds(plan: Plan) -> float:
    """How long a machine takes: 10 ms for the image, 20 for each task, 1 for each word."""
    return 0.01 + 0.02 * len(plan.tasks) + 0.001 * (plan.words or 40)


def planned(budget: Budget, frames: int, factor: float = 1.0) -> list[Plan | None]:
    """What is asked about so many frames on a machine that is slower by a factor."""
    plans = []
    for _ in range(frames):
        plan = budget.plan()
        if plan is not None:
            budget.answered(seconds(plan) * factor)
        plans.append(plan)
    return plans


def test_words_go_first_then_tasks_then_frames() -> None:
    plans = planned(Budget(TASKS, 1e-9), 40)

    asked = [plan for plan in plans if plan is not None]
    assert [(plan.words, len(plan.tasks), plan.one_in) for plan in asked[:9]] == [
        (None, 3, 1), (24, 3, 1), (12, 3, 1), (12, 2, 1), (12, 1, 1), (12, 1, 2), (12, 1, 4),
        (12, 1, 8), (12, 1, 8),
    ]  # fmt: skip
    assert plans[-16:].count(None) == 14


def test_boxes_lose_no_words() -> None:
    plans = planned(Budget([Ground("a"), Ground("b")], 1e-9), 3)

    assert [plan and (plan.words, len(plan.tasks)) for plan in plans] == [
        (None, 2), (None, 1), (None, 1),
    ]  # fmt: skip


def test_tasks_that_are_left_out_take_turns() -> None:
    plans = planned(Budget(TASKS, 0.045), 30)

    turns = [plan.tasks for plan in plans[-6:] if plan is not None]
    assert {len(tasks) for tasks in turns} == {1}
    assert {tasks[0] for tasks in turns} == {0, 1, 2}


def test_everything_is_asked_while_there_is_time() -> None:
    assert planned(Budget(TASKS, 1.0), 50) == [Plan((0, 1, 2))] * 50


def test_what_was_left_out_comes_back_when_the_machine_is_free_again() -> None:
    budget = Budget(TASKS, 0.2)
    slow = planned(budget, 20, factor=20.0)

    free = planned(budget, 200)

    assert slow[-1] is None or slow[-1].one_in > 1
    assert free[-1] == Plan((0, 1, 2))


@given(limit=st.floats(0.02, 0.3))
def test_answers_come_in_time_or_nothing_more_can_be_left_out(limit: float) -> None:
    budget = Budget(TASKS, limit)
    planned(budget, 200)

    plans = [plan for plan in planned(budget, 800) if plan is not None]

    late = [plan for plan in plans if seconds(plan) > limit]
    assert len(late) <= len(plans) / 20 or all(plan.one_in == 8 for plan in late)


@pytest.mark.parametrize("latency", [0, -1.0, float("nan"), "soon"])
def test_a_latency_that_is_no_duration_is_refused(latency: Any) -> None:
    with pytest.raises(InputError, match="max_latency"):
        Budget(TASKS, latency)


class Machine:
    """A clock, and a model that takes its time by it."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def submit(self, question: Question) -> Future[Answer]:
        self.now += 0.1 * len(question.tasks)
        results = tuple(
            GroundResult(task.phrase, "absent", ())
            if isinstance(task, Ground)
            else TextResult("caption", "text", f"at {question.frames[0].index}")
            for task in question.tasks
        )
        done: Future[Answer] = Future()
        done.set_result(Answer(results, {}, ()))
        return done


def test_events_say_what_was_left_out_and_carry_what_is_known_of_it() -> None:
    machine, camera = Machine(), Push(slots=20)
    tasks: list[Task] = [Caption(), Ground("a boat")]
    for number in range(20):
        camera.push(np.zeros((4, 6, 3), np.uint8), time=float(number))
    camera.end()

    stream = Stream(
        machine.submit, camera, tasks, 0.0, max_latency=0.15, ahead=1, clock=machine.clock
    )
    events = list(stream)

    answers = [event for event in events if isinstance(event, AnswerEvent)]
    sparse = [event for event in answers if event.left_out and event.left_out.tasks]
    assert len(sparse) > 10
    for event in sparse:
        assert event.left_out is not None
        (left_out,) = event.left_out.tasks
        caption, boat = event.results
        carried, new = (caption, boat) if left_out == "caption" else (boat, caption)
        assert new.carried_from is None
        assert carried.carried_from is not None and carried.carried_from < event.frames[0]
        assert carried.verified_at == carried.carried_from  # a frame a second
        read = parse_event(event.to_json())
        assert isinstance(read, AnswerEvent) and read.left_out == event.left_out
    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    assert summary.counts.received == summary.answered + sum(summary.counts.dropped.values()) == 20


def test_a_heartbeat_is_kept_although_most_frames_are_left_out() -> None:
    machine, camera = Machine(), Push(slots=60)
    chance = np.random.default_rng(0)
    for number in range(60):
        picture = chance.integers(0, 255, (36, 64, 3), np.uint8)  # each shows something else
        camera.push(picture, time=float(number))
    camera.end()

    stream = Stream(
        machine.submit, camera, TASKS, 0.0, gate=Gate(3.0), max_latency=1e-9, ahead=1,
        clock=machine.clock,
    )  # fmt: skip
    times = [event.time for event in stream if isinstance(event, AnswerEvent)]

    assert len(times) < 40
    assert max(np.diff(times)) <= 3.0
