"""Entries to events: what was asked about a source, answered and counted, in order."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, replace
from datetime import datetime, timezone
from types import TracebackType

from PIL import Image

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import ClosedError, InputError, LateError
from skyeye_edge.core.events import (
    AnswerEvent,
    Event,
    LeftOut,
    StateEvent,
    build_answer,
    build_control,
    build_heartbeat,
    build_state,
    build_summary,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.images import write_image
from skyeye_edge.core.json_types import Action
from skyeye_edge.core.results import TaskResult, carry
from skyeye_edge.core.tasks import Task, as_tasks, check_tasks, task_text, with_min_score
from skyeye_edge.runtime.alerts import Alarm, Alert, add_alert_tasks, as_alerts
from skyeye_edge.runtime.asking import Asked, Asking, Changed, Commanded, Entry, Unchanged, Wanted
from skyeye_edge.runtime.budget import Budget
from skyeye_edge.runtime.gate import Gate
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sinks.fan import Fan
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.sources.timing import check_every

log = logging.getLogger(__name__)
AHEAD = 3  # questions under way: one is encoded, one waits for language, one is answered


class Stream:
    """The events of a source; a context manager and an iterator.

        with Stream(model.submit, open_source("flight.mp4"), [Caption()]) as events:
            for event in events: ...

    Args:
        submit: takes a question, with `max_age` also its `deadline`, and gives the answer to come.
        source: where frames come from; closed by the stream.
        tasks: what is asked about each frame, at least one.
        every: seconds between answers, 0 for every frame.
        model: what answers, for the events.
        clip: so many frames are asked about as one.
        gate: decides which frames are worth asking about; None: all of them.
        min_score: of boxes, for tasks that state none; None: as the model was loaded.
        max_latency: seconds from a frame to its answer, for which something may be left out; None:
            all tasks, whatever time they take.
        max_age: seconds; a frame that is older when its turn comes is dropped as `stale`.
        ahead: questions that may be under way at once.
        eager: also ask while nobody waits for events; False for what goes on by itself.
        totals, answered: what an interrupted run had counted before.
        alerts: what is watched for; their tasks are asked behind the others.
        sinks: where events go besides; closed with the stream unless `shares_sinks`.
        record: what writes a recording of this stream; closed with it.
        budget: decides what is left out, instead of one made for `max_latency`.
        changed: told when there may be a new event; several streams share one.
        utc: the wall clock.
        clock: monotonic seconds, as in `arrived` of frames.

    Raises:
        InputError: no task, or one about boxes for a clip of several frames, or a gate for clips.
    """

    def __init__(
        self,
        submit: Callable[..., Future[Answer]],
        source: Source,
        tasks: Sequence[Task],
        every: float = 1.0,
        *,
        model: Mapping[str, str] | None = None,
        clip: int = 1,
        gate: Gate | None = None,
        min_score: float | None = None,
        max_latency: float | None = None,
        max_age: float | None = None,
        ahead: int = AHEAD,
        eager: bool = True,
        totals: Counts | None = None,
        answered: int = 0,
        alerts: Sequence[Alert] = (),
        sinks: Fan | None = None,
        shares_sinks: bool = False,
        record: Fan | None = None,
        budget: Budget | None = None,
        changed: threading.Condition | None = None,
        utc: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_every(every)
        if max_age is not None:
            check_number(max_age, "max_age (seconds)", 0)
        if gate is not None and clip > 1:
            raise InputError(
                "a gate compares single frames; leave it off for clips of several frames"
            )
        self.source = source
        self.totals = totals or Counts()  # the whole stream so far
        self.answered = answered  # frames
        self._model = model or {}
        self._gate = gate
        self._min_score, self._max_latency, self._clip = min_score, max_latency, clip
        self._alarm = Alarm(alerts)
        self.sinks = sinks or Fan()
        self._shares_sinks = shares_sinks
        self._record, self._budget = record or Fan(), budget
        self._known: dict[int, TaskResult] = {}  # the last result of each task, as it is carried
        self._known_of = 1  # version of the tasks
        self._utc = utc
        self._since = Counts()  # what happened since the last event with counts
        self._last: AnswerEvent | None = None  # what a heartbeat carries
        self.failure: Exception | None = None  # why it ended, if not in order
        self.state: StateEvent | None = None  # what its source said last
        self._closed = self._ended = False
        self._ready: deque[Event] = deque()
        self._warned_of: set[str] = set()
        self._nonce, self._number = secrets.token_hex(8), 0  # makes ids unique in the world
        self._asking = Asking(
            source,
            every,
            self._wanted(tasks, self._alarm.alerts),
            _asker(submit, max_age),
            clip=clip,
            gate=gate,
            ahead=ahead,
            eager=eager,
            changed=changed or threading.Condition(),  # over an RLock: a signal handler may stop
            clock=clock,
        )
        # A stream that nobody holds any more must not go on reading.
        self._abandoned = weakref.finalize(self, _abandon, self._asking, source)
        self._abandoned.atexit = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._closed:
            raise ClosedError(f"{self.source.name}: this stream is closed; open a new one")
        while not self._ready:
            if self._ended:
                self._close_sinks()
                self._raise_failure()
                raise StopIteration
            self._tell(self._next_entry())
        return self._ready.popleft()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def poll(self) -> Event | None:
        """The next event if it is there; a source that fails ends as any other does."""
        while not self._ready and not self._ended and self._asking.is_ready:
            try:
                self._tell(self._asking.take())
            except Exception as error:
                self.failure = self.failure or error
                change = SourceChange("ENDED", f"{error}")
                self._tell(Changed(change, self._asking.counted()))
        return self._ready.popleft() if self._ready else None

    @property
    def has_ended(self) -> bool:
        """Whether there will be no further event."""
        return self._closed or (self._ended and not self._ready)

    @property
    def is_ready(self) -> bool:
        """Whether the next event, or the end, is there without waiting."""
        return self._closed or self._ended or bool(self._ready) or self._asking.is_ready

    def await_events(self, awaited: bool) -> None:
        """Say whether somebody waits for events of this stream, perhaps among others."""
        self._asking.start()
        self._asking.await_entries(awaited)

    @property
    def patience_left(self) -> float | None:
        """Seconds after a stop for which an answer is still waited for; None: there is no limit."""
        return self._asking.patience_left()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is asked about the next frame; the tasks of alerts come behind it."""
        return self._asking.wanted.named

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What is watched for from the next frame on."""
        return self._asking.wanted.alerts

    @property
    def prompt_version(self) -> int:
        """Counts changes of the tasks, from 1."""
        return self._asking.wanted.version

    @property
    def newest(self) -> Frame | None:
        """The newest picture, asked about or not; None: none has come yet."""
        return self._asking.newest

    @property
    def is_paused(self) -> bool:
        """Whether nothing is asked until `resume`."""
        return self._asking.paused

    def set_tasks(self, tasks: Sequence[Task], alerts: Sequence[Alert] | None = None) -> None:
        """Ask something else from the next frame on; from any thread.

        A `control` event says so, and answers say by `prompt_version` which tasks made them.

        Args:
            tasks: what is asked; those of alerts come behind them.
            alerts: what is watched for; None: as before. What stands and is not among them ends.

        Raises:
            InputError: no task, one about boxes for a clip of several frames, or two alerts of one
                name.
        """
        watched = self.alerts if alerts is None else as_alerts(alerts)
        wanted = self._wanted(tasks, watched, self.prompt_version + 1)
        now = self._asking.wanted
        if (wanted.tasks, wanted.alerts) != (now.tasks, now.alerts):
            self._asking.want(wanted)

    def pause(self) -> None:
        """Ask nothing until `resume`; from any thread, and twice.

        A file waits. What goes on by itself is still read, and its frames count as `paused`.
        """
        self._asking.pause(True)

    def resume(self) -> None:
        """Go on after `pause`; from any thread, and twice."""
        self._asking.pause(False)

    def note(self, action: Action) -> None:
        """Say that somebody did something, without doing it: for what is played again."""
        self._asking.note(action)

    def snapshot(self, path: str | os.PathLike[str]) -> Frame:
        """Save the newest picture, asked about or not, and give it back; from any thread.

        Raises:
            InputError: none has come yet, or the file cannot be written.
        """
        frame = self.newest
        if frame is None:
            raise InputError(f"{self.source.name}: no picture has come yet")
        write_image(Image.fromarray(frame.rgb), path)
        return frame

    def stop(self) -> None:
        """Ask for the end: events go on to ENDED and the summary. From any thread, and twice."""
        self._asking.stop()
        self.source.stop()

    def close(self) -> None:
        """Stop and give everything back; no further event. Closing twice is fine."""
        self.stop()
        self._closed = True
        self.source.close()
        self._asking.join(2.0)
        self._close_sinks()
        self._abandoned.detach()  # it holds the source, and a source may know its stream

    def _next_entry(self) -> Entry:
        self._asking.start()
        self._asking.await_entries(True)
        try:
            return self._asking.take()
        except BaseException:
            self._ended = self._asking.failure is not None
            raise
        finally:
            self._asking.await_entries(False)

    def _wanted(self, tasks: Sequence[Task], alerts: tuple[Alert, ...], version: int = 1) -> Wanted:
        wanted = add_alert_tasks(as_tasks(tasks), alerts)
        asked = tuple(with_min_score(task, self._min_score) for task in wanted)
        check_tasks(asked, self._clip)
        limit = self._max_latency
        budget = self._budget if limit is None else Budget(asked, limit)
        return Wanted(asked, version, budget, alerts, as_tasks(tasks))

    def _tell(self, entry: Entry) -> None:
        """Hand the events of an entry to the sinks, and to whoever takes them here."""
        frame = None
        if isinstance(entry, Asked | Unchanged):
            frame = entry.frames[-1] if isinstance(entry, Asked) else entry.frame
        try:
            for event in self._build_events(entry):
                for each, picture in self._with_alerts(event, frame):
                    self._give(each, picture)
        finally:
            if isinstance(entry, Asked):
                self._asking.told()
        if isinstance(entry, Commanded):
            for alert, picture in self._alarm.change(entry.wanted.alerts):
                self._give(alert, picture)

    def _give(self, event: Event, picture: Frame | None) -> None:
        self.sinks.offer(event, picture)
        self._record.offer(event, picture)
        self._ready.append(event)

    def _with_alerts(
        self, event: Event, frame: Frame | None
    ) -> Iterator[tuple[Event, Frame | None]]:
        """An event and the alerts that follow from it, each with its picture."""
        if isinstance(event, StateEvent):  # nothing stands any more once it has ended
            yield from self._alarm.update(event)
        yield event, frame if isinstance(event, AnswerEvent) else None
        if isinstance(event, AnswerEvent):
            yield from self._alarm.update(event, frame)
            if self._gate is not None and self._alarm.is_undecided:
                self._gate.forget()  # or a picture that does not change is never looked at again

    def _build_events(self, entry: Entry) -> Iterator[Event]:
        self._count(entry.counts)
        match entry:
            case Asked():
                yield from self._answered(entry)
            case Unchanged(frame=frame, gate=decision):
                if self._last is not None:
                    counts, nonce = self._taken(), self._next_nonce()
                    self._last = build_heartbeat(
                        frame, self._last, counts, self._utc(), gate=decision, nonce=nonce
                    )
                    yield self._last
            case Commanded(action=action, wanted=wanted):
                yield build_control(
                    action,
                    wanted.version,
                    wanted.tasks,
                    self._utc(),
                    alerts=[asdict(alert) for alert in wanted.alerts],
                    source=self.source.name,
                    epoch=self._last.epoch if self._last else 0,
                    time=self._last.time if self._last else 0.0,
                    nonce=self._next_nonce(),
                )
            case Changed(change=change):
                yield from self._told(change)

    def _answered(self, entry: Asked) -> Iterator[AnswerEvent]:
        """The event for a clip; none if nobody wants it any more, or if the model failed."""
        try:
            answer = entry.answer.result()
        except CancelledError:
            self._lose(entry, "closed")
            return
        except LateError:
            self._lose(entry, "stale")
            return
        except Exception as error:
            self._fail(entry, error)
            return
        failures = [reply.failure for reply in answer.replies if reply.failure is not None]
        if failures and len(failures) == len(
            answer.replies
        ):  # nothing can be asked, of the next frame neither
            self._fail(entry, failures[0])
            return
        if failures:
            self._warn_of(failures)
            if self._gate is not None:
                self._gate.forget()
        self.answered += len(entry.frames)
        self._last = build_answer(
            entry.frames,
            self._completed(entry, answer.results),
            self._taken(),
            self._utc(),
            timing_ms=answer.timing_ms,
            model=self._model,
            source=self.source.name,
            prompt_version=entry.wanted.version,
            gate=entry.gate,
            left_out=_left_out(entry),
            nonce=self._next_nonce(),
        )
        yield self._last

    def _fail(self, entry: Asked, error: Exception) -> None:
        """End in order; then the error goes on."""
        self.failure = self.failure or error
        self.stop()
        self._lose(entry, "closed")

    def _warn_of(self, failures: Sequence[Exception]) -> None:
        """Say once of each task that it cannot be asked; those beside it are."""
        for failure in failures:
            if str(failure) not in self._warned_of:
                self._warned_of.add(str(failure))
                log.warning("%s: a task cannot be asked: %s", self.source.name, failure)

    def _completed(self, entry: Asked, results: Sequence[TaskResult]) -> tuple[TaskResult, ...]:
        """One result per task: carried for those that a budget left out, if there was one."""
        if entry.plan is None:
            return tuple(results)
        last, version = entry.frames[-1], entry.wanted.version
        new = dict(zip(entry.plan.tasks, results, strict=True))
        if version != self._known_of:
            self._known_of, self._known = version, {}
        found = self._known | new
        self._known |= {task: carry(each, last.index, last.time) for task, each in new.items()}
        return tuple(found[task] for task in sorted(found))

    def _told(self, change: SourceChange) -> Iterator[Event]:
        """What a source says of itself; behind its end the summary."""
        if self.failure is not None:
            change = replace(change, cause=f"{self.failure}")
        nonce = self._next_nonce()
        self.state = build_state(change, self.source.name, self._utc(), nonce=nonce)
        yield self.state
        if change.state == "ENDED":
            self._ended = True
            yield build_summary(
                self.totals,
                self.answered,
                self._utc(),
                source=self.source.name,
                epoch=change.epoch,
                time=change.time,
                nonce=self._next_nonce(),
            )

    def _lose(self, entry: Asked, cause: str) -> None:
        self._count(Counts(0, 0, {cause: len(entry.frames)}))
        if self._gate is not None:
            self._gate.forget()

    def _close_sinks(self) -> None:
        self._record.close()
        if not self._shares_sinks:
            self.sinks.close()

    def _raise_failure(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def _next_nonce(self) -> str:
        self._number += 1
        return f"{self._nonce}/{self._number}"

    def _count(self, counts: Counts) -> None:
        self._since += counts
        self.totals += counts

    def _taken(self) -> Counts:
        since, self._since = self._since, Counts()
        return since


def _left_out(entry: Asked) -> LeftOut | None:
    if entry.plan is None:
        return None
    asked, tasks = entry.plan.tasks, entry.wanted.tasks
    others = tuple(task_text(task) for number, task in enumerate(tasks) if number not in asked)
    left_out = LeftOut(entry.plan.words, others, entry.plan.one_in)
    return None if left_out == LeftOut() else left_out


def _asker(
    submit: Callable[..., Future[Answer]], max_age: float | None
) -> Callable[[tuple[Frame, ...], tuple[Task, ...], int | None], Future[Answer]]:
    """Asks tasks about frames; nobody wants an answer that would begin too late."""

    def ask(
        frames: tuple[Frame, ...], tasks: tuple[Task, ...], words: int | None
    ) -> Future[Answer]:
        last = frames[-1]
        question = Question(frames, tasks, words=words)
        if max_age is None or not last.arrived:
            return submit(question)
        return submit(question, deadline=last.arrived - last.lag + max_age)

    return ask


def _abandon(asking: Asking, source: Source) -> None:
    asking.stop()
    source.stop()
