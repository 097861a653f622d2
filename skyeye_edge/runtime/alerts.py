"""What is watched for: from the answers of a stream to alerts that begin, go on and end.

    answer -> score -> votes -> begin | update | end

It depends on events alone: the same events give the same alerts, however fast they come.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal, get_args

from skyeye_edge.core.arguments import as_tuple, check_number, check_text, check_whole
from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AlertEvent, AnswerEvent, Event, StateEvent, build_alert
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.json_types import AlertPhase, AlertReason
from skyeye_edge.core.results import ClassifyResult, GroundResult, TaskResult
from skyeye_edge.core.tasks import Classify, Ground, Task, check_tasks

By = Literal["yes_no", "ground"]
YES_NO = ("yes", "no")
# Scores at which an alert begins and ends. A calibrated score is the probability that the box is
# *right*, which for things that are there is far lower than that they are there (docs/alerts.md).
LEVELS: Mapping[By, tuple[float, float]] = MappingProxyType(
    {"yes_no": (0.7, 0.3), "ground": (0.1, 0.05)}
)
_SHARE = re.compile(r"(\d+) of (\d+)")  # "3 of 5"
_NUMBERS = {"begin_at": float, "end_at": float, "cooldown": float, "needed": int, "of": int}

Told = tuple[AlertEvent, Frame | None]  # begins and ends with their picture, for sinks


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an answer says about something that is watched for."""

    score: float
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to watch for, and how sure to be of it.

        Alert("a person near the fence", needed=3, of=5, cooldown=60)
        Alert("is the gate open?")
        Alert("smoke", by="ground", begin_at=0.4, end_at=0.2)

    Args:
        phrase: a thing, which is asked for as "is there <phrase>?"; or a question, ending in "?",
            to which "yes" is the alarm.
        by: "yes_no" for the probability of yes against no; "ground" for the calibrated score of
            the box, which only a thing has.
        begin_at, end_at: scores from which an answer speaks for a begin, and below which for an
            end; None: LEVELS.
        needed, of: so many of so many answers in a row must speak for it.
        cooldown: media seconds after an end in which it does not begin again.
        name: what events call it; "" for the phrase.

    Raises:
        InputError: a value is out of range, or a question is to be found in the picture.
    """

    phrase: str
    by: By = "yes_no"
    begin_at: float | None = None
    end_at: float | None = None
    needed: int = 2
    of: int = 3
    cooldown: float = 30.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise InputError(f"alert: by {self.by!r}; give one of {', '.join(get_args(By))}")
        check_text(self.phrase, "alert: phrase")
        check_text(self.name, "alert: name")
        object.__setattr__(self, "phrase", self.phrase.strip())
        if not self.phrase:
            raise InputError("alert: no phrase; say what to watch for, such as 'smoke'")
        if self.by == "ground" and self.phrase.endswith("?"):
            raise InputError(
                f"alert: {self.phrase!r} is a question, which is nowhere in the picture; "
                "leave out by=ground, or name the thing"
            )
        begin_at, end_at = LEVELS[self.by]
        begin_at = begin_at if self.begin_at is None else self.begin_at
        check_number(begin_at, "alert: begin_at", 0, 1)
        end_at = min(begin_at, end_at) if self.end_at is None else self.end_at
        check_number(end_at, "alert: end_at", 0, begin_at)
        check_whole(self.needed, "alert: needed", 1)
        check_whole(self.of, "alert: of", self.needed)
        check_number(self.cooldown, "alert: cooldown (seconds)", 0)
        object.__setattr__(self, "begin_at", float(begin_at))
        object.__setattr__(self, "end_at", float(end_at))
        object.__setattr__(self, "name", self.name.strip() or self.phrase)
        check_tasks((self.task,))  # words that are no text

    @property
    def task(self) -> Task:
        """What is asked about each frame."""
        if self.by == "ground":
            return Ground(self.phrase)
        asked = self.phrase if self.phrase.endswith("?") else f"is there {self.phrase}?"
        return Classify(YES_NO, asked)

    def look(self, results: Iterable[TaskResult]) -> Sighting | None:
        """What the results say about it; None: nothing that is new and readable."""
        found = None
        for result in results:
            if result.carried_from is None and _answers(self.task, result):
                found = _sighting(result) or found
        return found


def parse_alert(said: str | Mapping[str, Any]) -> Alert:
    """An alert as it is written on a command line, or in a file of settings.

        a person near the fence; 3 of 5; cooldown=60; name=fence
        {"phrase": "smoke", "by": "ground"}

    Raises:
        InputError: a setting is unknown, or no value for it.
    """
    values = dict(said) if isinstance(said, Mapping) else _written(said)
    known = [each.name for each in fields(Alert)]
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"alert: no setting {key!r}; {meant}")
    if "phrase" not in values:
        raise InputError("alert: no phrase; say what to watch for, as phrase: smoke")
    return Alert(**values)


def add_alert_tasks(tasks: Sequence[Task], alerts: Sequence[Alert]) -> tuple[Task, ...]:
    """The tasks, and behind them those of alerts that are not among them: none is asked twice."""
    asked = list(tasks)
    for alert in alerts:
        if not any(_is_same(alert.task, task) for task in asked):
            asked.append(alert.task)
    return tuple(asked)


def as_alerts(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """The alerts of a list; raises InputError if it is none, or if two have one name."""
    wanted = as_tuple(alerts, "alerts", "[Alert('smoke')]")
    for alert in wanted:
        if not isinstance(alert, Alert):
            raise InputError(f"{alert!r} is no alert; give Alert('smoke')")
    names = [alert.name for alert in wanted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two alerts are called {twice!r}; give each a name=... of its own")
    return wanted


class Alarm:
    """The alerts of one stream: it is told every event, and says which alerts begin and end.

    Only what was asked anew and can be read is evidence. Carried results (of a heartbeat, or of a
    task that a budget left out) and failed answers are none: an alert that stands goes on to stand,
    and none begins. When the source begins anew (another epoch) votes are counted afresh, and what
    stands goes on to stand: that a link broke says nothing about a fire.

    Where a picture does not change, a gate would never ask for the second answer that must agree:
    whoever has one looks at `is_undecided`, and lets the next frame through.
    """

    def __init__(self, alerts: Iterable[Alert]) -> None:
        self._watches = [_Watch(alert) for alert in as_alerts(alerts)]
        self._said: AnswerEvent | None = None  # the last one

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What is watched for."""
        return tuple(watch.alert for watch in self._watches)

    @property
    def is_undecided(self) -> bool:
        """Whether some answers speak for a begin or an end, and more are needed to say so."""
        return any(watch.is_undecided for watch in self._watches)

    def update(self, event: Event, frame: Frame | None = None) -> tuple[Told, ...]:
        """What follows from an event of the stream, in the order of the alerts.

        Args:
            event: the next one; ENDED ends whatever stands, and others than answers and states say
                nothing.
            frame: the picture of an answer, the last one of a clip.
        """
        match event:
            case AnswerEvent():
                self._said = event
                told = [watch.judge(event, frame) for watch in self._watches]
            case StateEvent(state="ENDED"):
                told = [watch.end(event, "ended") for watch in self._watches]
            case _:
                return ()
        return tuple(each for each in told if each is not None)

    def change(self, alerts: Iterable[Alert]) -> tuple[Told, ...]:
        """Watch for these from now on: what stays the same goes on, what stands and is gone ends.

        Raises:
            InputError: two have one name.
        """
        wanted = as_alerts(alerts)
        known = {watch.alert: watch for watch in self._watches}
        left = [watch for alert, watch in known.items() if alert not in wanted]
        self._watches = [known.get(alert) or _Watch(alert) for alert in wanted]
        ends = [watch.end(self._said, "removed") for watch in left if self._said is not None]
        return tuple(end for end in ends if end is not None)


@dataclass(frozen=True, slots=True)
class _Evidence:
    answer: AnswerEvent
    frame: Frame | None
    sighting: Sighting


class _Watch:
    """One alert: votes for its begin, and once it stands, for its end."""

    def __init__(self, alert: Alert) -> None:
        assert alert.begin_at is not None and alert.end_at is not None  # Alert has filled them in
        self.alert, self._begin_at, self._end_at = alert, alert.begin_at, alert.end_at
        self._votes: deque[tuple[bool, AnswerEvent]] = deque(maxlen=alert.of)
        self._last: _Evidence | None = None  # what it stands on; None: it does not stand
        self._ended_at: float | None = None  # media seconds
        self._epoch = 0

    @property
    def is_undecided(self) -> bool:
        """Whether a vote that counts beside the next one speaks for a change."""
        counting = list(self._votes)[-max(1, self.alert.of - 1) :]
        return any(spoke for spoke, _ in counting)

    def judge(self, answer: AnswerEvent, frame: Frame | None) -> Told | None:
        """What an answer changes."""
        sighting = self.alert.look(answer.results)
        if sighting is None:
            return None
        self._follow(answer)
        stands = self._last is not None
        speaks = sighting.score < self._end_at if stands else sighting.score >= self._begin_at
        self._votes.append((speaks, answer))
        votes = [each for spoke, each in self._votes if spoke]
        decided = speaks and len(votes) >= self.alert.needed
        if stands and decided:
            self._last, self._ended_at = None, answer.time
            self._votes.clear()
            return self._told(answer, "end", "gone", Sighting(sighting.score), votes, frame)
        if stands and not speaks:
            self._last = _Evidence(answer, frame, sighting)
            return self._told(answer, "update", "seen", sighting, [answer], None)
        if not stands and decided and self._is_rested(answer.time):
            self._last = _Evidence(answer, frame, sighting)
            self._votes.clear()
            return self._told(answer, "begin", "seen", sighting, votes, frame)
        return None

    def end(self, said: AnswerEvent | StateEvent, why: AlertReason) -> Told | None:
        """The end of what stands, with the last picture that showed it."""
        last, self._last = self._last, None
        self._votes.clear()
        if last is None:
            return None
        return self._told(said, "end", why, last.sighting, [last.answer], last.frame)

    def _follow(self, answer: AnswerEvent) -> None:
        """A source that begins anew has votes of its own, and may have a clock of its own."""
        if answer.epoch != self._epoch:
            self._epoch = answer.epoch
            self._votes.clear()
        if self._ended_at is not None:
            self._ended_at = min(self._ended_at, answer.time)

    def _is_rested(self, time: float) -> bool:
        return self._ended_at is None or time - self._ended_at >= self.alert.cooldown

    def _told(
        self,
        said: AnswerEvent | StateEvent,
        phase: AlertPhase,
        why: AlertReason,
        sighting: Sighting,
        evidence: Sequence[AnswerEvent],
        frame: Frame | None,
    ) -> Told:
        event = build_alert(
            said,
            alert=self.alert.name,
            phrase=self.alert.phrase,
            phase=phase,
            why=why,
            score=sighting.score,
            evidence=evidence,
            boxes=sighting.boxes,
        )
        return event, frame


def _is_same(task: Task, other: Task) -> bool:
    """Whether both ask the same, though boxes may be left out below another score."""
    if isinstance(task, Ground) and isinstance(other, Ground):
        return task.phrase == other.phrase
    return task == other


def _answers(task: Task, result: TaskResult) -> bool:
    match task, result:
        case Ground(phrase=phrase), GroundResult():
            return result.phrase == phrase
        case Classify(question=question), ClassifyResult():
            return result.question == question
        case _:
            return False


def _sighting(result: TaskResult) -> Sighting | None:
    """How far an answer speaks for it; None for one that says nothing."""
    match result:
        case GroundResult(outcome="found" | "uncertain"):
            return Sighting(_written_score(result.score), result.boxes)
        case GroundResult(outcome="absent"):
            return Sighting(0.0)
        case ClassifyResult(label="yes"):
            return Sighting(_written_score(result.score))
        case ClassifyResult(label="no"):
            return Sighting(_written_score(1 - _written_score(result.score)))
        case _:
            return None


def _written_score(score: float) -> float:
    """As events write it, so that those of a file decide as they did when they came."""
    return round(float(score), 6)


def _written(text: str) -> dict[str, Any]:
    """The settings of a line: the phrase, then parted by semicolons what is said about it."""
    check_text(text, "alert")
    phrase, *settings = (part.strip() for part in text.split(";"))
    values: dict[str, Any] = {"phrase": phrase}
    for setting in filter(None, settings):
        if share := _SHARE.fullmatch(setting):
            values |= {"needed": int(share[1]), "of": int(share[2])}
            continue
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals:
            raise InputError(
                f"alert: {setting!r} is no setting; write '{phrase}; 3 of 5; cooldown=30'"
            )
        try:
            values[key] = _NUMBERS[key](value) if key in _NUMBERS else value
        except ValueError as error:
            raise InputError(f"alert: {key}={value}: give a number") from error
    return values
