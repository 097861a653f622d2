"""A plan at work: its streams, and what changes in them when the plan does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from skyeye_edge.cli.watch_plan import Plan, SinkPlan, SourcePlan
from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.runtime.sinks import open_sink
from skyeye_edge.runtime.sources import open_source

if TYPE_CHECKING:
    from skyeye_edge.runtime.model import Model
    from skyeye_edge.runtime.sinks.sink import Sink
    from skyeye_edge.runtime.sources.source import Source
    from skyeye_edge.runtime.stream import Stream

log = logging.getLogger(__name__)


@contextmanager
def opened_sources(
    plans: Sequence[SourcePlan], keep_damaged: bool, skip: bool
) -> Iterator[list[Source]]:
    """The sources of plans, in order; closed if the block fails, else whoever took them does it."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(
                closing(
                    open_source(
                        plan.url, options=plan.options, keep_damaged=keep_damaged, skip=skip
                    )
                )
            )
            for plan in plans
        ]
        opened.pop_all()


@contextmanager
def opened_sinks(plans: Sequence[SinkPlan]) -> Iterator[list[Sink]]:
    """The sinks of plans, in order; closed if the block fails, else whoever took them does it."""
    with ExitStack() as opened:
        yield [opened.enter_context(closing(open_sink(plan.to, **plan.options))) for plan in plans]
        opened.pop_all()


class Running:
    """The streams of a plan; a context manager that ends them.

    Args:
        model: what answers.
        plan: what is watched.
        sources, sinks: those of the plan, opened.
    """

    def __init__(
        self, model: Model, plan: Plan, sources: Sequence[Source], sinks: Sequence[Sink]
    ) -> None:
        self._plan = plan
        self._skip = "skip" not in model.without
        self.streams = model.streams(
            [], plan.tasks, alerts=plan.alerts, sinks=sinks, **plan.options()
        )
        self._sinks = list(zip(plan.sinks, sinks, strict=True))
        self._running = self._added(plan.sources, sources)

    @property
    def is_several(self) -> bool:
        """Whether lines must say whose they are."""
        return len(self._running) > 1

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.streams.close()

    def reload(self, read: Callable[[], Plan]) -> None:
        """Read the plan anew, and do what it says now; if it cannot be done, all goes on as it was.

        Never raises: it is called because of a signal.
        """
        try:
            plan = read()
            self._change(plan)
        except SkyEyeError as error:
            log.error("%s; it goes on as before", error)
            return
        if plan.options() != self._plan.options():
            log.warning("the plan was read anew; times and gate hold from the next start on")
        else:
            log.warning("the plan was read anew")
        self._plan = plan

    def _change(self, plan: Plan) -> None:
        here = [each for each, _ in self._running]
        coming = [each for each in plan.sources if each not in here]
        filled = [each for each, _ in self._sinks]
        wanted = [each for each in plan.sinks if each not in filled]
        with (
            opened_sources(coming, plan.keep_damaged, self._skip) as sources,
            opened_sinks(wanted) as sinks,
        ):
            if (plan.tasks, plan.alerts) != (self._plan.tasks, self._plan.alerts):
                self.streams.set_tasks(plan.tasks, plan.alerts)
            added = self._added(coming, sources)
            for sink in sinks:
                self.streams.sinks.add(sink)
        for sink_plan, sink in self._sinks:
            if sink_plan not in plan.sinks:
                self.streams.sinks.remove(sink)
        kept = [pair for pair in self._sinks if pair[0] in plan.sinks]
        self._sinks = kept + list(zip(wanted, sinks, strict=True))
        stay = [pair for pair in self._running if pair[0] in plan.sources]
        for pair in self._running:
            if pair not in stay:
                self.streams.remove(pair[1])
        self._running = stay + added

    def _added(
        self, plans: Sequence[SourcePlan], sources: Sequence[Source]
    ) -> list[tuple[SourcePlan, Stream]]:
        return [
            (plan, self.streams.add(source, priority=plan.priority))
            for plan, source in zip(plans, sources, strict=True)
        ]
