"""What to leave out when answers take longer than they may: words, then tasks, then frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.tasks import Task, is_in_words

WORDS = (24, 12)  # tokens of answers in words; most captions end by themselves before the first
SPARSE = (2, 4, 8)  # one frame in so many
CALM = 8  # answers in time after which a bit more is tried
MOST_CALM = 128  # as often as that went wrong, it is tried more seldom
ROOM = 0.6  # share of the latency that an answer may take to count as calm


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked about a frame."""

    tasks: tuple[int, ...]  # numbers of the tasks, in order
    words: int | None = None  # tokens of answers in words; None: as many as the task allows
    one_in: int = 1  # so many due frames; the others are left out


@dataclass(frozen=True, slots=True)
class _Level:
    words: int | None
    tasks: int
    one_in: int


class Budget:
    """Leaves out more when an answer came too late, less when several came early.

    In this order: fewer words, fewer tasks (those asked longest ago come first, so that each has
    its turn), a lower rate. It knows no clock: it is told how long answers took.

    Args:
        tasks: what is to be asked about each frame.
        max_latency: seconds from the arrival of a frame to its answer.

    Raises:
        InputError: the latency is no duration, or 0.
    """

    def __init__(self, tasks: Sequence[Task], max_latency: float) -> None:
        check_max_latency(max_latency)
        self._max_latency = max_latency
        self._levels = _levels(tasks)
        self._level = 0
        self._asked_at = [-1] * len(tasks)  # number of the frame at which each was last asked
        self._frames = 0  # due ones
        self._calm = 0  # answers in a row that came early
        self._needed = CALM
        self._tried = False  # more was asked than before, and that it goes well is not known

    def plan(self, *, must: bool = False) -> Plan | None:
        """What to ask about the next due frame; None: nothing, it is left out, unless it must not.

        Args:
            must: something has to be asked.
        """
        level = self._levels[self._level]
        number, self._frames = self._frames, self._frames + 1
        if number % level.one_in and not must:
            return None
        waiting = sorted(range(len(self._asked_at)), key=lambda task: self._asked_at[task])
        chosen = tuple(sorted(waiting[: level.tasks]))
        for task in chosen:
            self._asked_at[task] = number
        return Plan(chosen, level.words, level.one_in)

    def answered(self, seconds: float) -> None:
        """Learn how long after its arrival a frame was answered."""
        if seconds > self._max_latency:
            if self._tried:  # that was a step too far: it is tried again half as soon
                self._needed = min(2 * self._needed, MOST_CALM)
            self._tried = False
            self._level = min(self._level + 1, len(self._levels) - 1)
            self._calm = 0
            return
        self._calm = self._calm + 1 if seconds <= ROOM * self._max_latency else 0
        if self._calm >= CALM and self._tried:  # and it was none
            self._tried, self._needed = False, CALM
        if self._calm >= self._needed and self._level > 0:
            self._level -= 1
            self._tried, self._calm = True, 0


def check_max_latency(max_latency: float) -> None:
    """Refuse what is no time for an answer; raises InputError."""
    check_number(max_latency, "max_latency (seconds)", 0)
    if max_latency == 0:
        raise InputError("max_latency 0: no answer is there at once; give more than 0 seconds")


def _levels(tasks: Sequence[Task]) -> list[_Level]:
    """From everything to the least, each step leaving out one thing more."""
    words = WORDS if any(is_in_words(task) for task in tasks) else ()
    levels = [_Level(None, len(tasks), 1), *(_Level(most, len(tasks), 1) for most in words)]
    least = levels[-1].words
    levels += [_Level(least, number, 1) for number in range(len(tasks) - 1, 0, -1)]
    return levels + [_Level(least, 1, one_in) for one_in in SPARSE]
