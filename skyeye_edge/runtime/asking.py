"""From a source to the model: a thread that takes frames, and asks about those that are worth it.

It runs ahead of whoever takes the answers by few frames, so that one is encoded while the one
before is answered; of live sources only while somebody waits, so that none grows old unasked.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

from skyeye_edge.core.events import GateDecision
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.json_types import Action
from skyeye_edge.core.tasks import Task
from skyeye_edge.runtime.alerts import Alert
from skyeye_edge.runtime.budget import Budget, Plan
from skyeye_edge.runtime.gate import Gate
from skyeye_edge.runtime.question import Answer
from skyeye_edge.runtime.sources.source import Source

PAUSED = 1.0  # seconds between looks at a live source while nothing is asked about it
PATIENCE = 1.0  # seconds that the answer at work gets after a stop; users are promised 2 in all


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What is asked about each frame."""

    tasks: tuple[Task, ...]
    version: int = 1  # counts changes of the tasks
    budget: Budget | None = None  # how much of it is asked; None: all, whatever time it takes
    alerts: tuple[Alert, ...] = ()  # of which the tasks are among them
    named: tuple[Task, ...] = ()  # without those that only alerts want


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A frame or clip that was asked about."""

    frames: tuple[Frame, ...]
    answer: Future[Answer]
    wanted: Wanted
    counts: Counts  # since the entry before, with these frames
    gate: GateDecision | None = None
    plan: Plan | None = None  # of a stream with a budget

    @property
    def is_ready(self) -> bool:
        """Whether the answer is there."""
        return self.answer.done()


@dataclass(frozen=True, slots=True, eq=False)
class Unchanged:
    """A frame that the gate kept back, at the time of a heartbeat."""

    frame: Frame
    gate: GateDecision
    counts: Counts
    is_ready: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """What a source says about itself."""

    change: SourceChange
    counts: Counts
    is_ready: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Commanded:
    """What somebody changed while it ran."""

    action: Action
    wanted: Wanted  # from here on
    counts: Counts = field(default_factory=Counts)
    is_ready: bool = True


Entry = Asked | Unchanged | Changed | Commanded


class Asking:
    """What is asked about the frames of a source, in order.

    Args:
        source: where frames come from.
        every: seconds between answers.
        wanted: what is asked about each frame.
        ask: hands a question about frames over.
        clip: so many frames are asked about as one.
        gate: which frames are worth it; None: all.
        ahead: entries that may be under way at once.
        eager: ask also while nobody waits for answers.
        changed: told when there is something new.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        source: Source,
        every: float,
        wanted: Wanted,
        ask: Callable[[tuple[Frame, ...], tuple[Task, ...], int | None], Future[Answer]],
        *,
        clip: int,
        gate: Gate | None,
        ahead: int,
        eager: bool,
        changed: threading.Condition,
        clock: Callable[[], float],
    ) -> None:
        self._source, self._every, self._ask = source, every, ask
        self._clip, self._gate, self._ahead, self._eager = clip, gate, ahead, eager
        self._clock, self._changed = clock, changed
        self.wanted = wanted
        self.newest: Frame | None = None  # that came, asked about or not
        self._entries: deque[Entry] = deque()
        self._since = Counts()  # since the last entry
        self._untold = 0  # questions of which nobody has heard what follows from the answer
        self._awaited = False  # somebody waits for an entry
        self.paused = False  # nothing is asked until told otherwise
        self._stopped_at: float | None = None
        self._spared: Asked | None = None  # what was at work when it was stopped
        self.failure: BaseException | None = None  # why the source gives no more
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._thread is None:
            name = f"ask {self._source.name}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask no more. Who waits for an answer gets it within PATIENCE or not at all."""
        with self._changed:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
                head = self._entries[0] if self._entries and self._awaited else None
                self._spared = head if isinstance(head, Asked) else None
                for entry in self._entries:
                    if isinstance(entry, Asked) and entry is not self._spared:
                        entry.answer.cancel()
            self._changed.notify_all()

    def want(self, wanted: Wanted) -> None:
        """From the next frame on, ask this; what is under way is answered as it was asked."""
        with self._changed:
            self.wanted = wanted
            if self._gate is not None:
                self._gate.forget()
            self._add(Commanded("set_tasks", wanted))

    def pause(self, paused: bool) -> None:
        """Ask nothing until told otherwise; a file waits, of live sources frames are let go."""
        with self._changed:
            if paused != self.paused:
                self.paused = paused
                self._add(Commanded("pause" if paused else "resume", self.wanted))

    def note(self, action: Action) -> None:
        """An entry that says that somebody did something, and no more."""
        with self._changed:
            self._add(Commanded(action, self.wanted))

    def join(self, seconds: float) -> None:
        """Wait for the thread, which ends once its source has."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    @property
    def is_ready(self) -> bool:
        """Whether `take` has not to wait."""
        if not self._entries:
            return self.failure is not None
        return self._entries[0].is_ready or self._is_given_up(self._entries[0])

    def await_entries(self, awaited: bool) -> None:
        """Say whether somebody waits for entries now."""
        with self._changed:
            self._awaited = awaited
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when `take` has not to wait."""
        with self._changed:
            while not self.is_ready:
                self._changed.wait(self.patience_left())

    def patience_left(self) -> float | None:
        """Seconds after which what is at work is given up; None: nothing is."""
        if self._stopped_at is None or self._spared is None:
            return None
        return max(0.0, self._stopped_at + PATIENCE - time.monotonic())

    def take(self) -> Entry:
        """The next entry; an answer of which is there, or was given up and is cancelled.

        Raises:
            BaseException: what the source raised.
        """
        self.wait()
        with self._changed:
            if not self._entries:
                assert self.failure is not None
                raise self.failure
            entry = self._entries.popleft()
            self._changed.notify_all()
        if isinstance(entry, Asked) and self._is_given_up(entry) and entry is not self._spared:
            return replace(entry, answer=_cancelled(entry.answer))
        if isinstance(entry, Asked) and not entry.is_ready:  # its patience is at an end
            entry.answer.cancel()
        return entry

    def told(self) -> None:
        """Say that what follows from the answer that was taken is known, to the gate as well."""
        with self._changed:
            self._untold -= 1
            self._changed.notify_all()

    @property
    def _is_by_turns(self) -> bool:
        """Whether the gate hears of an answer before it judges the next frame of a file.

        Alerts let frames through by what was answered; read ahead, those of a file would be other
        ones in every run. What goes on by itself is never the same twice.
        """
        return self._gate is not None and self._eager and bool(self.wanted.alerts)

    def _is_given_up(self, entry: Entry) -> bool:
        if self._stopped_at is None or not isinstance(entry, Asked):
            return False
        return entry is not self._spared or self.patience_left() == 0.0

    def _run(self) -> None:
        try:
            frames: tuple[Frame, ...] = ()
            items = self._source.items(self._every)
            while True:
                self._wait_for_turn()
                item = next(items, SourceChange("ENDED", "it gives no more"))
                if isinstance(item, SourceChange):
                    frames = self._change(item, frames)
                    if item.state == "ENDED":
                        return
                else:
                    frames = self._take_in(item, frames)
        except BaseException as error:  # of a thread: whoever takes the entries hears of it
            with self._changed:
                self.failure = error
                self._changed.notify_all()

    def _wait_for_turn(self) -> None:
        with self._changed:
            while self._stopped_at is None:
                wanted = (self._eager or self._awaited) and len(self._entries) < self._ahead
                wanted = wanted and not (self._untold and self._is_by_turns)
                if wanted and not self.paused:
                    return
                # What a live source says of itself is heard all the same.
                looks = wanted and not self._eager
                if not self._changed.wait(PAUSED if looks else None) and looks:
                    return

    def _take_in(self, frame: Frame, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        """Ask about a frame, unless nothing has changed or its clip is not full yet."""
        self._since += frame.before + Counts(1)
        self.newest = frame
        if self.paused and not self._eager:
            self._since += Counts(0, 0, {"paused": 1})
            return frames
        decision = self._gate.judge(frame) if self._gate is not None else None
        if decision is not None and not decision.open:
            self._since += Counts(0, 0, {"gate": 1})
            if decision.heartbeat:
                self._add(Unchanged(frame, decision, self.counted()))
            return frames
        frames = (*frames, frame)
        if len(frames) < self._clip:
            return frames
        self._ask_about(frames, decision)
        return ()

    def _change(self, change: SourceChange, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        if change.state == "ENDED" and frames:  # a clip that did not become full
            self._ask_about(frames, None)
            frames = ()
        self._since += change.before
        # what became of frames of an unfinished clip is told with their answer
        self._add(Changed(change, Counts() if frames else self.counted()))
        return frames

    def _ask_about(self, frames: tuple[Frame, ...], decision: GateDecision | None) -> None:
        with self._changed:
            if self._stopped_at is not None:
                self._since += Counts(0, 0, {"closed": len(frames)})
                return
        must = decision is not None and decision.heartbeat  # something has to be heard of it
        wanted = self.wanted
        plan = wanted.budget.plan(must=must) if wanted.budget is not None else None
        if wanted.budget is not None and plan is None:
            self._since += Counts(0, 0, {"budget": len(frames)})
            if self._gate is not None:
                self._gate.forget()
            return
        last = frames[-1]
        # Of a file nothing is late but the answer; what goes on by itself is as old as its light.
        is_live = not self._eager and last.arrived > 0
        began = last.arrived - last.lag if is_live else self._clock()
        tasks, words = wanted.tasks, None
        if plan is not None:
            tasks, words = tuple(wanted.tasks[number] for number in plan.tasks), plan.words
        answer: Future[Answer]
        try:
            answer = self._ask(frames, tasks, words)
        except Exception as error:  # told where the answer would be
            answer = Future()
            answer.set_exception(error)
        with self._changed:
            self._untold += 1
        self._add(Asked(frames, answer, wanted, self.counted(), decision, plan))
        answer.add_done_callback(partial(self._done, wanted.budget, began))

    def counted(self) -> Counts:
        """What happened since the last entry, or since this was last asked."""
        counts, self._since = self._since, Counts()
        return counts

    def _add(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            if self._stopped_at is not None and isinstance(entry, Asked):
                entry.answer.cancel()
            self._changed.notify_all()

    def _done(self, budget: Budget | None, began: float, answer: Future[Answer]) -> None:
        with self._changed:
            if budget is not None and not answer.cancelled():
                budget.answered(self._clock() - began)
            self._changed.notify_all()


def _cancelled(answer: Future[Answer]) -> Future[Answer]:
    """What stands for an answer that nobody wants any more, even if it is there."""
    answer.cancel()
    none: Future[Answer] = Future()
    none.cancel()
    return none
