"""A recording, answered again: the same frames, gate and budget as then, by the same engine.

What is decided anew is only what the model says. So the events are those of the recording, but for
`id`, `utc` and `timing_ms`; with another model, they show what it would have said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skyeye_edge.core.errors import DataError
from skyeye_edge.core.events import (
    AnswerEvent,
    ControlEvent,
    Event,
    GateDecision,
    StateEvent,
    SummaryEvent,
)
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.tasks import Task, parse_task, task_text
from skyeye_edge.runtime.alerts import add_alert_tasks, parse_alert
from skyeye_edge.runtime.budget import Budget, Plan
from skyeye_edge.runtime.fingerprint import fingerprint
from skyeye_edge.runtime.gate import Gate
from skyeye_edge.runtime.question import Answer
from skyeye_edge.runtime.recording import Recording
from skyeye_edge.runtime.sources.recorded import (
    Still,
    file_stills,
    read_index,
    recorded_stills,
)
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.stream import Stream

VOLATILE = ("id", "utc", "timing_ms", "evidence")  # evidence: ids of other events
NOTHING = np.zeros((1, 1, 3), np.uint8)  # of a heartbeat: nobody looks at its picture


class RecordedGate(Gate):
    """Decides what was decided then."""

    def __init__(self, decisions: Iterable[GateDecision]) -> None:
        super().__init__()
        self._decisions = iter(decisions)

    def judge(self, frame: Frame) -> GateDecision:
        """The next decision of the recording."""
        return next(self._decisions)

    def forget(self) -> None:
        """Nothing: what followed from it then is in the recording."""


class RecordedBudget(Budget):
    """Plans what was planned then."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._plans = iter(plans)

    def plan(self, *, must: bool = False) -> Plan | None:
        """The next plan of the recording."""
        return next(self._plans)

    def answered(self, seconds: float) -> None:
        """Nothing: it is decided already."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a recording can be answered again."""

    events: tuple[Event, ...]  # that are to come again, in order
    stills: Callable[[], Iterator[Still]]  # the pictures that were asked about, in order
    lost: tuple[AnswerEvent, ...]  # answers whose pictures are gone


def kept_of(recording: Recording) -> Kept:
    """What of a recording can be answered again.

    Raises:
        DataError: the video that was watched is gone, or another one.
    """
    asked = [event for event in recording.events if isinstance(event, AnswerEvent)]
    wanted = {index for event in asked for index in event.frames}
    media = recording.wanted.media
    if media is not None:
        path = Path(media.path)
        if not path.is_file() or fingerprint(path) != media.fingerprint:
            raise DataError(
                f"{path}: the video of this recording is gone, or another one is there now; put "
                f"the one of {media.fingerprint} back"
            )
        return Kept(recording.events, partial(file_stills, path, wanted), ())
    index = read_index(recording.folder / "packets")
    there = index.there
    lost = tuple(event for event in asked if not there.issuperset(event.frames))
    events = tuple(_without(recording.events, lost))
    return Kept(events, partial(recorded_stills, index, wanted & there), lost)


def _without(events: Sequence[Event], lost: Sequence[AnswerEvent]) -> Iterator[Event]:
    """The events but for those, and heartbeats that carry what was lost."""
    gone, carries = {event.id for event in lost}, False
    for event in events:
        if isinstance(event, AnswerEvent):
            if event.frames:
                carries = event.id in gone
            if carries:
                continue
        yield event


class RecordedSource:
    """Frames and changes of a recording, in its order.

    Args:
        recording: whose.
        kept: what of it can be answered again.
        obey: does what somebody did then.
    """

    def __init__(
        self, recording: Recording, kept: Kept, obey: Callable[[ControlEvent], None]
    ) -> None:
        self.name = recording.wanted.source
        self._kept, self._obey = kept, obey
        self._stopped = False

    def items(self, every: float) -> Iterator[Item]:
        """What came then; the last one is ENDED."""
        stills, tail = self._kept.stills(), self._tail()
        for event in self._kept.events:
            if self._stopped:
                break
            if isinstance(event, AnswerEvent):
                yield from self._frames(event, stills)
            elif isinstance(event, ControlEvent):
                self._obey(event)
            elif isinstance(event, StateEvent):
                ended = event.state == "ENDED"
                before = tail if ended else Counts()
                yield SourceChange(event.state, event.cause, event.epoch, event.time, before)
                if ended:
                    return
        yield SourceChange("ENDED", "the recording ends here")

    def stop(self) -> None:
        """Give no more."""
        self._stopped = True

    def close(self) -> None:
        """Nothing is held open."""

    def _frames(self, event: AnswerEvent, stills: Iterator[Still]) -> Iterator[Frame]:
        number = len(event.frames) or 1
        before = replace(event.counts, received=event.counts.received - number)
        if not event.frames:
            dropped = before.dropped | {"gate": before.dropped["gate"] - 1}
            yield Frame(
                NOTHING,
                event.time,
                epoch=event.epoch,
                source=event.source,
                before=replace(before, dropped=dropped),
                damaged=event.damaged,
                user=event.user,
            )
            return
        for position, index in enumerate(event.frames):
            still = next((each for each in stills if each.index == index), None)
            if still is None:
                raise DataError(
                    f"{self.name}: frame {index} cannot be decoded from the recording; its packets "
                    "are damaged"
                )
            yield Frame(
                still.rgb,
                event.time,
                index,
                event.epoch,
                source=event.source,
                before=before if position == 0 else Counts(),
                damaged=still.damaged,
                user=event.user,
                metadata=still.metadata,
            )

    def _tail(self) -> Counts:
        """What happened after the last answer."""
        events = self._kept.events
        last = events[-1] if events else None
        if not isinstance(last, SummaryEvent):
            return Counts()
        rest, dropped = last.counts, dict(last.counts.dropped)
        received, skipped = rest.received, rest.skipped
        for event in (*events, *self._kept.lost):
            if isinstance(event, AnswerEvent):
                received -= event.counts.received
                skipped -= event.counts.skipped
                for cause, number in event.counts.dropped.items():
                    dropped[cause] = dropped.get(cause, 0) - number
        return Counts(received, skipped, dropped)


def replayed(
    recording: Recording,
    kept: Kept,
    submit: Callable[..., Future[Answer]],
    model: Mapping[str, str],
) -> Stream:
    """The stream of a recording, answered anew.

    Args:
        recording: whose.
        kept: what of it can be answered again.
        submit: takes a question; `Model.submit`.
        model: what answers, for the events.
    """
    wanted = recording.wanted
    asked = [event for event in kept.events if isinstance(event, AnswerEvent)]
    decisions = [
        replace(event.gate, heartbeat=not event.frames) for event in asked if event.gate is not None
    ]
    lost = Counts()
    for event in kept.lost:
        lost += event.counts

    def obey(event: ControlEvent) -> None:
        if event.action == "set_tasks":
            alerts = [parse_alert(alert) for alert in event.alerts]
            stream.set_tasks([parse_task(dict(task)) for task in event.tasks], alerts)
        else:
            stream.note(event.action)

    stream = Stream(
        partial(submit, client=object()),
        RecordedSource(recording, kept, obey),
        wanted.tasks,
        0.0,
        model=model,
        clip=wanted.clip,
        gate=RecordedGate(decisions) if decisions else None,
        budget=_budget(recording, asked),
        min_score=wanted.min_score,
        alerts=wanted.alerts,
        totals=lost,
        answered=sum(len(event.frames) for event in kept.lost),
    )
    return stream


def _budget(recording: Recording, asked: Sequence[AnswerEvent]) -> Budget | None:
    """What was left out of each answer; None: nothing ever was."""
    if all(event.left_out is None for event in asked):
        return None
    by_version: dict[int, tuple[Task, ...]] = {}
    for event in recording.events:
        if isinstance(event, ControlEvent):
            by_version[event.prompt_version] = tuple(parse_task(dict(t)) for t in event.tasks)
    first = recording.wanted
    at_first = add_alert_tasks(first.tasks, first.alerts)
    return RecordedBudget(
        _plan(event, by_version.get(event.prompt_version, at_first))
        for event in asked
        if event.frames
    )


def _plan(event: AnswerEvent, tasks: Sequence[Task]) -> Plan:
    left_out = event.left_out
    if left_out is None:
        return Plan(tuple(range(len(tasks))))
    others = deque(left_out.tasks)
    numbers = []
    for number, task in enumerate(tasks):
        if others and task_text(task) == others[0]:
            others.popleft()
        else:
            numbers.append(number)
    return Plan(tuple(numbers), left_out.words, left_out.one_in)


def comparable(event: Event) -> dict[str, Any]:
    """What of an event is the same in each replay."""
    return {key: value for key, value in event.to_dict().items() if key not in VOLATILE}
