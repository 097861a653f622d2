"""How a stream ends while its answer is still at work, without a model."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import numpy as np

from skyeye_edge.core.events import StateEvent, SummaryEvent
from skyeye_edge.core.tasks import Caption
from skyeye_edge.runtime.question import Answer, Question
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
