"""How a stream ends while its answer is at work, and how it is controlled, without a model."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent, ControlEvent, StateEvent, SummaryEvent
from skyeye_edge.core.results import TextResult
from skyeye_edge.core.tasks import Ask, Caption, Ground, Task, parse_task, task_text
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.stream import Stream

LIMIT = 30.0  # seconds that anything may take on a busy machine


def test_a_stop_waits_a_moment_for_the_answer_at_work_and_then_gives_it_up() -> None:
    asked: list[Future[Answer]] = []
    at_work = threading.Event()

    def submit(question: Question) -> Future[Answer]:
        asked.append(Future())
        at_work.set()
        return asked[-1]

    camera = Push()
    camera.push(np.zeros((4, 6, 3), np.uint8), time=0.0)
    stream = Stream(submit, camera, [Caption()], 0.0)
    events: list[object] = []
    watching = threading.Thread(target=lambda: events.extend(stream), daemon=True)
    watching.start()
    assert at_work.wait(LIMIT)

    stream.stop()
    watching.join(LIMIT)

    state, summary = events
    assert isinstance(state, StateEvent) and state.state == "ENDED"
    assert isinstance(summary, SummaryEvent)
    assert (summary.answered, summary.counts.dropped["closed"]) == (0, 1)
    assert asked[0].cancelled()


class Answering:
    """Answers each question with what was asked; the tasks of all questions are kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[Task, ...]] = []

    def submit(self, question: Question) -> Future[Answer]:
        self.asked.append(question.tasks)
        done: Future[Answer] = Future()
        results = [TextResult("caption", "text", task_text(task)) for task in question.tasks]
        done.set_result(Answer(tuple(results), {}, ()))
        return done


def picture(number: int) -> npt.NDArray[np.uint8]:
    return np.full((4, 6, 3), number, np.uint8)


def test_tasks_are_changed_while_it_runs_and_events_say_which_version_made_them() -> None:
    model, camera = Answering(), Push(slots=8)
    stream = Stream(model.submit, camera, [Caption()], 0.0)
    camera.push(picture(0), time=0.0)
    first = next(stream)

    stream.set_tasks([Ask("how many boats?"), Ground("a boat")])
    changed = next(stream)
    camera.push(picture(1), time=1.0)
    second = next(stream)
    camera.end()

    assert isinstance(first, AnswerEvent) and first.prompt_version == 1
    assert isinstance(changed, ControlEvent)
    assert (changed.action, changed.prompt_version) == ("set_tasks", 2)
    assert [parse_task(task) for task in changed.tasks] == list(stream.tasks)
    assert isinstance(second, AnswerEvent) and second.prompt_version == 2
    assert model.asked == [(Caption(),), (Ask("how many boats?"), Ground("a boat"))]


def test_a_task_that_cannot_be_asked_is_refused_and_the_old_ones_stay() -> None:
    stream = Stream(Answering().submit, Push(), [Caption()], 0.0, clip=2)

    with pytest.raises(InputError, match="one frame"):
        stream.set_tasks([Ground("a boat")])
    with pytest.raises(InputError, match="at least one task"):
        stream.set_tasks([])

    assert stream.tasks == (Caption(),)
    stream.close()


def test_nothing_is_asked_while_it_is_paused_and_the_counts_balance() -> None:
    model, camera = Answering(), Push(slots=1)
    stream = Stream(model.submit, camera, [Caption()], 0.0, eager=False)
    stream.pause()
    stream.pause()
    assert isinstance(next(stream), ControlEvent)
    for number in range(5):
        camera.push(picture(number), time=float(number))

    stream.resume()
    assert isinstance(next(stream), ControlEvent)
    camera.push(picture(5), time=5.0)
    camera.end()
    events = list(stream)

    summary = events[-1]
    assert isinstance(summary, SummaryEvent)
    counts = summary.counts
    assert counts.received == 6 == summary.answered + sum(counts.dropped.values())
    assert len(model.asked) == summary.answered <= 2


def test_a_file_waits_while_it_is_paused(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    model = Answering()
    stream = Stream(model.submit, open_source(tmp_path), [Caption()], 0.0, ahead=1)
    stream.pause()
    paused = next(stream)
    assert isinstance(paused, ControlEvent) and paused.action == "pause"
    assert model.asked == []

    stream.resume()
    answers = [event for event in stream if isinstance(event, AnswerEvent)]

    assert len(answers) == len(model.asked) == 4


def test_the_newest_picture_is_saved_though_nobody_asked_about_it(tmp_path: Path) -> None:
    camera = Push()
    stream = Stream(Answering().submit, camera, [Caption()], 0.0)
    with pytest.raises(InputError, match="no picture has come yet"):
        stream.snapshot(tmp_path / "now.png")
    camera.push(picture(7), time=1.5)
    next(stream)

    frame = stream.snapshot(tmp_path / "now.png")

    assert (frame.time, frame.index) == (1.5, 0)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "now.png")), picture(7))
    stream.close()


def test_a_closed_stream_whose_source_knows_it_is_let_go(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    source = open_source(tmp_path)
    stream = Stream(Answering().submit, source, [Caption()], 0.0)
    source.watched_by = stream  # type: ignore[attr-defined]
    gone = weakref.ref(stream)
    list(stream)
    stream.close()

    del stream, source
    gc.collect()

    assert gone() is None
