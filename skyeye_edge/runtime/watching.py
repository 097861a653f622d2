"""What is asked of sources, and the streams that are opened so: the same for one and for many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from skyeye_edge.core.arguments import check_flag, check_number
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.scores import check_min_score
from skyeye_edge.core.tasks import Task, as_tasks, check_tasks
from skyeye_edge.runtime.alerts import Alert, add_alert_tasks, as_alerts
from skyeye_edge.runtime.budget import check_max_latency
from skyeye_edge.runtime.gate import DEFAULT_HEARTBEAT, Gate, check_heartbeat
from skyeye_edge.runtime.question import Answer
from skyeye_edge.runtime.recording import DEFAULT_GIB, Recorded, begin_recording, check_room
from skyeye_edge.runtime.sinks import SinkLike, open_sinks
from skyeye_edge.runtime.sinks.fan import Fan
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.live import LiveSource
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.sources.source import Source
from skyeye_edge.runtime.sources.timing import check_every
from skyeye_edge.runtime.stream import AHEAD, Stream


class StreamOptions(TypedDict, total=False):
    """What may be said about streams, to `Model.stream` and `Model.streams` alike."""

    every: float
    clip: int
    min_score: float | None
    keep_damaged: bool
    gate: bool | None
    heartbeat: float
    max_age: float | None
    max_latency: float | None
    alerts: Sequence[Alert]
    sinks: Sequence[SinkLike]
    source_options: Mapping[str, str]
    record: str | os.PathLike[str] | None
    record_gib: float


@dataclass(frozen=True, slots=True, eq=False)
class Watching:
    """What is asked, and of which frames; see `Model.stream`, and `build_watching`."""

    submit: Callable[..., Future[Answer]]
    description: Mapping[str, str]  # of the model
    skip: bool  # pictures of files that nobody needs
    tasks: tuple[Task, ...]
    every: float = 1.0
    clip: int = 1
    min_score: float | None = None
    keep_damaged: bool = False
    gate: bool | None = None
    heartbeat: float = DEFAULT_HEARTBEAT
    max_age: float | None = None
    max_latency: float | None = None
    alerts: tuple[Alert, ...] = ()
    sinks: Fan = field(default_factory=Fan)
    source_options: Mapping[str, str] = field(default_factory=dict)
    record: str | os.PathLike[str] | None = None
    record_gib: float = DEFAULT_GIB
    opened_as: Mapping[str, Any] = field(default_factory=dict)  # the model, for recordings

    def __post_init__(self) -> None:
        with self.closing_if_refused():
            self._check()

    def _check(self) -> None:
        check_tasks(add_alert_tasks(self.tasks, self.alerts), self.clip)
        check_every(self.every)
        check_min_score(self.min_score)
        check_flag(self.keep_damaged, "keep_damaged")
        if self.gate is not None:
            check_flag(self.gate, "gate")
        check_heartbeat(self.heartbeat)
        if self.max_age is not None:
            check_number(self.max_age, "max_age (seconds)", 0)
        if self.max_latency is not None:
            check_max_latency(self.max_latency)
        check_room(self.record_gib)

    @contextmanager
    def closing_if_refused(self) -> Iterator[None]:
        """Around the opening of streams: if there are none, nobody else closes the sinks."""
        try:
            yield
        except BaseException:
            self.sinks.close()
            raise

    def open(
        self,
        source: str | Path | Source,
        priority: float = 1.0,
        changed: threading.Condition | None = None,
    ) -> Stream:
        """A stream of one source; those that share `changed` share the model, by turns, and sinks.

        Raises:
            InputError: no such source, or a priority that is none.
            MediaError: the source holds no picture.
        """
        check_priority(priority)
        opened = open_source(
            source, options=self.source_options, keep_damaged=self.keep_damaged, skip=self.skip
        )
        live = isinstance(opened, LiveSource)
        gated = live and self.clip == 1 if self.gate is None else self.gate
        goes_on = live or isinstance(opened, Push)  # whether or not anybody asks
        limit = self.max_latency
        record = None
        if self.record is not None:
            wanted = Recorded(
                source=opened.name,
                media=None,
                tasks=self.tasks,
                alerts=self.alerts,
                model=self.description,
                opened_as=self.opened_as,
                min_score=self.min_score,
                clip=self.clip,
                keep_damaged=self.keep_damaged,
            )
            record = Fan([begin_recording(Path(self.record), self.record_gib, opened, wanted)])
        return Stream(
            partial(self.submit, client=object(), priority=priority),
            opened,
            self.tasks,
            self.every,
            model=self.description,
            clip=self.clip,
            gate=Gate(self.heartbeat) if gated else None,
            max_age=self.max_age,
            min_score=self.min_score,
            max_latency=limit,
            alerts=self.alerts,
            sinks=self.sinks,
            shares_sinks=changed is not None,
            record=record,
            ahead=AHEAD - goes_on if limit is None else 1,  # whoever waits in line comes late
            eager=not goes_on,
            changed=changed,
        )


def build_watching(
    submit: Callable[..., Future[Answer]],
    description: Mapping[str, str],
    opened_as: Mapping[str, Any],
    skip: bool,
    tasks: Sequence[Task],
    options: StreamOptions,
) -> Watching:
    """What `Model.stream` was told.

    Raises:
        InputError: no task, one that cannot be asked, or a value that cannot be.
        TypeError: no such option.
    """
    values: dict[str, Any] = dict(options)
    for name in values.keys() - StreamOptions.__annotations__.keys():
        known = ", ".join(StreamOptions.__annotations__)
        raise TypeError(f"a stream has no option {name!r}; there are {known}")
    values["alerts"] = as_alerts(values.get("alerts", ()))
    values["sinks"] = Fan(open_sinks(values.get("sinks", ())))
    return Watching(submit, description, skip, as_tasks(tasks), opened_as=opened_as, **values)


def check_priority(priority: float) -> None:
    """Refuse what is no share of turns; raises InputError."""
    check_number(priority, "priority", 0)
    if priority == 0:
        raise InputError("priority 0: it must be more than 0")
