"""Frames to events: one loop around a source and a model."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timezone
from types import TracebackType

from skyeye_edge.core.errors import ClosedError
from skyeye_edge.core.events import Event, build_answer, build_state, build_summary
from skyeye_edge.core.frame import Counts, Frame
from skyeye_edge.core.tasks import Task, as_tasks, check_tasks
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.sources.timing import check_every

PATIENCE = 1.0  # seconds that the answer at work gets after a stop; users are promised 2 in all


class Stream:
    """The events of a source; a context manager and an iterator.

        with Stream(model.submit, open_source("flight.mp4"), [Caption()]) as events:
            for event in events: ...

    Args:
        submit: takes a question and gives the answer to come.
        source: where frames come from; closed by the stream.
        tasks: what is asked about each frame, at least one.
        every: seconds between answers, 0 for every frame.
        clip: so many frames are asked about as one.
        model: what answers, for the events.
        totals, answered: what an interrupted run had counted before.
        utc: the wall clock.

    Raises:
        InputError: no task, or one about boxes for a clip of several frames.
    """

    def __init__(
        self,
        submit: Callable[[Question], Future[Answer]],
        source: Source,
        tasks: Sequence[Task],
        every: float = 1.0,
        *,
        model: Mapping[str, str] | None = None,
        clip: int = 1,
        totals: Counts | None = None,
        answered: int = 0,
        utc: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        tasks = as_tasks(tasks)
        check_tasks(tasks, clip)
        check_every(every)
        self.source = source
        self.totals = totals or Counts()  # the whole stream so far
        self.answered = answered  # frames
        self._submit = submit
        self._model = model or {}
        self._tasks = tasks
        self._every = every
        self._clip = clip
        self._utc = utc
        self._since = Counts()  # what happened since the last answer
        self._failure: Exception | None = None
        self._stopped = self._closed = False
        self._changed = threading.Condition()  # over an RLock: a signal handler may call stop
        self._nonce, self._number = secrets.token_hex(8), 0  # makes ids unique in the world
        self._events = self._run()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._closed:
            raise ClosedError(f"{self.source.name}: this stream is closed; open a new one")
        return next(self._events)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def stop(self) -> None:
        """Ask for the end: events go on to ENDED and the summary. From any thread, and twice."""
        self._stopped = True
        self.source.stop()
        self._notify()

    def close(self) -> None:
        """Stop and give everything back; no further event. Closing twice is fine."""
        self.stop()
        self._closed = True
        self.source.close()

    def _run(self) -> Iterator[Event]:
        frames: list[Frame] = []
        for item in self.source.items(self._every):
            if isinstance(item, Frame):
                self._count(item.before + Counts(1))
                frames.append(item)
                if len(frames) == self._clip:
                    yield from self._answer(frames)
                    frames = []
                continue
            if item.state == "ENDED":  # a clip that did not become full is asked about as it is
                yield from self._answer(frames)
            self._count(item.before)
            change = item if self._failure is None else replace(item, cause=f"{self._failure}")
            yield build_state(change, self.source.name, self._utc(), nonce=self._next_nonce())
        yield build_summary(
            self.totals,
            self.answered,
            self._utc(),
            source=self.source.name,
            epoch=item.epoch,
            time=item.time,
            nonce=self._next_nonce(),
        )
        if self._failure is not None:
            raise self._failure

    def _answer(self, frames: list[Frame]) -> Iterator[Event]:
        """The event for a clip; none if nobody wants it any more, or if the model failed."""
        if not frames:
            return
        if self._stopped:
            self._count(Counts(0, 0, {"closed": len(frames)}))
            return
        try:
            answer = self._wait_for(self._submit(Question(tuple(frames), self._tasks)))
        except Exception as error:  # the stream ends in order, then the error goes on
            self._failure, answer = error, None
            self.stop()
        if answer is None:
            self._count(Counts(0, 0, {"closed": len(frames)}))
            return
        self.answered += len(frames)
        since, self._since = self._since, Counts()
        yield build_answer(
            frames,
            answer.results,
            since,
            self._utc(),
            timing_ms=answer.timing_ms,
            model=self._model,
            source=self.source.name,
            nonce=self._next_nonce(),
        )

    def _wait_for(self, answer: Future[Answer]) -> Answer | None:
        """The answer; None if it is given up because it is not there soon after a stop."""
        answer.add_done_callback(lambda _: self._notify())
        with self._changed:
            self._changed.wait_for(lambda: answer.done() or self._stopped)
            self._changed.wait_for(answer.done, PATIENCE)
        return None if answer.cancel() else answer.result()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next_nonce(self) -> str:
        self._number += 1
        return f"{self._nonce}/{self._number}"

    def _count(self, counts: Counts) -> None:
        self._since += counts
        self.totals += counts
