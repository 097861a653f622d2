"""What a stream says, one JSON object a line; the one place that makes events and reads them.

`id`, `utc` and `timing_ms` differ between two runs over the same recording; all else does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any, Literal, TypeVar

from skyeye_edge.core.arguments import check_text
from skyeye_edge.core.boxes import Box, Size
from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.core.frame import Counts, Frame, SourceChange, State
from skyeye_edge.core.json_types import (
    Action,
    AlertPhase,
    AlertReason,
    AlertValues,
    AnswerValues,
    BudgetValues,
    ControlValues,
    DamageValues,
    DecisionValues,
    GatedValues,
    GateReason,
    HeadValues,
    StateValues,
    SummaryValues,
    UserValues,
    json_line,
)
from skyeye_edge.core.results import (
    TaskResult,
    box_values,
    carry,
    parse_box_values,
    parse_result,
)
from skyeye_edge.core.tasks import Task, task_values

SCHEMA: Literal[1] = 1
CAUSES = ("gate", "stale", "busy", "decode")  # always written; others where they happened
STEPS = ("decode", "preprocess", "encode", "prefill", "generate", "age")


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a frame is worth an encode, and why."""

    open: bool
    why: GateReason
    changed: float = 0.0  # share of the picture that differs from the last asked one
    heartbeat: bool = field(default=False, compare=False)  # it is time for a sign of life

    def to_dict(self) -> DecisionValues:
        """The values that stand in an event."""
        return {"why": self.why, "changed": round(self.changed, 4)}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a budget left out of an answer, so that it came in time."""

    words: int | None = None  # tokens that answers in words could have; None: all
    tasks: tuple[str, ...] = ()  # that were not asked, such as "ground a boat"
    one_in: int = 1  # due frames; the others counted as `budget`

    def to_dict(self) -> BudgetValues:
        """The values that stand in an event."""
        values: BudgetValues = {}
        if self.words is not None:
            values["words"] = self.words
        if self.tasks:
            values["left_out"] = list(self.tasks)
        if self.one_in > 1:
            values["one_in"] = self.one_in
        return values


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """The answers about one frame or clip, and what became of the frames since the last answer.

    Without frames it is a heartbeat: the gate found nothing new, and the results are carried.
    """

    id: str
    source: str
    epoch: int
    time: float  # media seconds of the last frame
    utc: str
    frames: tuple[int, ...]  # indices
    size: Size
    results: tuple[TaskResult, ...]
    counts: Counts
    timing_ms: Mapping[str, float]  # by step; age: from decoded to answered, and the source's lag
    model: Mapping[str, str]  # what ran: name, bundle_sha256, vision, backend, language
    prompt_version: int = 1  # counts changes of the tasks during a stream
    damaged: bool = False  # a frame of it may show what was never there
    user: Any = None  # what `Push.push` was given with the last frame
    gate: GateDecision | None = None  # of a stream with a gate
    left_out: LeftOut | None = None  # of a stream with a budget, where something was

    def __post_init__(self) -> None:
        results = tuple(replace(result, size=self.size) for result in self.results)
        object.__setattr__(self, "results", results)

    def to_dict(self) -> AnswerValues:
        """The values of the line; docs/formats.md names them."""
        user: UserValues = {} if self.user is None else {"user": self.user}
        damage: DamageValues = {"damaged": True} if self.damaged else {}
        gated: GatedValues = {} if self.gate is None else {"gate": self.gate.to_dict()}
        if self.left_out is not None:
            gated["budget"] = self.left_out.to_dict()
        return {
            "schema": SCHEMA,
            "type": "answer",
            **_head(self),
            **user,
            "frames": list(self.frames),
            "size": list(self.size),
            "prompt_version": self.prompt_version,
            "results": [result.to_dict() for result in self.results],
            "received": self.counts.received,
            "skipped": self.counts.skipped,
            "dropped": dict(self.counts.dropped),
            "timing_ms": dict(self.timing_ms),
            "model": dict(self.model),
            **damage,
            **gated,
        }

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json_line(self.to_dict())


@dataclass(frozen=True, slots=True)
class StateEvent:
    """The source changed its state."""

    id: str
    source: str
    epoch: int
    time: float
    utc: str
    state: State
    cause: str

    def to_dict(self) -> StateValues:
        """The values of the line; docs/formats.md names them."""
        return {
            "schema": SCHEMA,
            "type": "state",
            **_head(self),
            "state": self.state,
            "cause": self.cause,
        }

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json_line(self.to_dict())


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """Somebody changed what the stream does; answers say which version of the tasks made them."""

    id: str
    source: str
    epoch: int
    time: float
    utc: str
    action: Action
    prompt_version: int  # that holds from here on
    tasks: tuple[Mapping[str, Any], ...]  # likewise; `core.tasks.parse_task` reads them
    alerts: tuple[Mapping[str, Any], ...] = ()  # likewise; `runtime.alerts.parse_alert`

    def to_dict(self) -> ControlValues:
        """The values of the line; docs/formats.md names them."""
        return {
            "schema": SCHEMA,
            "type": "control",
            **_head(self),
            "action": self.action,
            "prompt_version": self.prompt_version,
            "tasks": [dict(task) for task in self.tasks],
            "alerts": [dict(alert) for alert in self.alerts],
        }

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json_line(self.to_dict())


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something that was watched for is there, is still there, or is gone.

    The last of `frames` is the picture that goes to sinks with a begin, which it shows, and an end.
    """

    id: str
    source: str
    epoch: int
    time: float
    utc: str
    alert: str  # its name
    phrase: str  # what is watched for
    phase: AlertPhase
    why: AlertReason
    score: float  # of the newest evidence
    evidence: tuple[str, ...]  # ids of the answers that it rests on
    frames: tuple[int, ...]  # indices of the frames of these
    size: Size
    boxes: tuple[Box, ...] = ()
    prompt_version: int = 1

    def to_dict(self) -> AlertValues:
        """The values of the line; docs/formats.md names them."""
        return {
            "schema": SCHEMA,
            "type": "alert",
            **_head(self),
            "alert": self.alert,
            "phrase": self.phrase,
            "phase": self.phase,
            "why": self.why,
            "score": _rounded(self.score),
            "evidence": list(self.evidence),
            "frames": list(self.frames),
            "size": list(self.size),
            "boxes": box_values(self.boxes, self.size),
            "prompt_version": self.prompt_version,
        }

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json_line(self.to_dict())


@dataclass(frozen=True, slots=True)
class SummaryEvent:
    """The whole stream in numbers: received = answered + skipped + sum(dropped)."""

    id: str
    source: str
    epoch: int
    time: float
    utc: str
    answered: int  # frames, so a clip counts each of its own
    counts: Counts

    def to_dict(self) -> SummaryValues:
        """The values of the line; docs/formats.md names them."""
        return {
            "schema": SCHEMA,
            "type": "summary",
            **_head(self),
            "received": self.counts.received,
            "answered": self.answered,
            "skipped": self.counts.skipped,
            "dropped": dict(self.counts.dropped),
        }

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json_line(self.to_dict())


Event = AnswerEvent | StateEvent | ControlEvent | AlertEvent | SummaryEvent
_Event = TypeVar("_Event", AnswerEvent, StateEvent, ControlEvent, AlertEvent, SummaryEvent)


def build_answer(
    frames: Sequence[Frame],
    results: Sequence[TaskResult],
    counts: Counts,
    utc: datetime,
    *,
    timing_ms: Mapping[str, float],
    model: Mapping[str, str],
    source: str = "",
    prompt_version: int = 1,
    gate: GateDecision | None = None,
    left_out: LeftOut | None = None,
    nonce: str = "",
) -> AnswerEvent:
    """The event for answered frames.

    Args:
        frames: the frames of the answer in order, at least one.
        results: one per task.
        counts: everything after the last answered frame, up to and with these.
        utc: wall clock.
        timing_ms: milliseconds by step (STEPS); a step that is left out is 0.
        model: what ran.
        source: name of the stream, for frames that have none of their own.
        prompt_version: counts changes of the tasks during the stream, from 1.
        gate: why these frames were asked about.
        left_out: what was not asked about them.
        nonce: what no other event has, here and in the other `build_` functions; makes the id.
    """
    last = frames[-1]
    timing = {step: round(float(timing_ms.get(step, 0.0)), 3) for step in STEPS}
    indices = tuple(frame.index for frame in frames)
    return _with_id(
        AnswerEvent(
            "", last.source or source, last.epoch, _rounded(last.time), _utc_text(utc), indices,
            last.size, tuple(results), _filled(counts), timing, dict(model), prompt_version,
            any(frame.damaged for frame in frames),
            last.user,
            gate,
            left_out,
        ),
        nonce,
    )  # fmt: skip


def build_heartbeat(
    frame: Frame,
    last: AnswerEvent,
    counts: Counts,
    utc: datetime,
    *,
    gate: GateDecision,
    nonce: str = "",
) -> AnswerEvent:
    """The event that says that the last answer still holds.

    Args:
        frame: the newest frame, which was not asked about.
        last: the last event that has results.
        counts: everything after that, up to and with this frame.
        utc: wall clock.
        gate: what was found.
        nonce: as for `build_answer`.
    """
    index = last.frames[-1] if last.frames else 0  # carried results know theirs
    return _with_id(
        replace(
            last,
            id="",
            epoch=frame.epoch,
            time=_rounded(frame.time),
            utc=_utc_text(utc),
            frames=(),
            results=tuple(_held(result, index, last.time, frame.time) for result in last.results),
            counts=_filled(counts),
            timing_ms=dict.fromkeys(STEPS, 0.0),
            damaged=frame.damaged,
            user=frame.user,
            gate=gate,
            left_out=None,
        ),
        nonce,
    )


def build_state(change: SourceChange, source: str, utc: datetime, *, nonce: str = "") -> StateEvent:
    """The event for a change of the source's state."""
    time = _rounded(change.time)
    return _with_id(
        StateEvent("", source, change.epoch, time, _utc_text(utc), change.state, change.cause),
        nonce,
    )


def build_control(
    action: Action,
    prompt_version: int,
    tasks: Sequence[Task],
    utc: datetime,
    *,
    alerts: Sequence[Mapping[str, Any]] = (),
    source: str,
    epoch: int = 0,
    time: float = 0.0,
    nonce: str = "",
) -> ControlEvent:
    """The event for a change of what a stream does, as it holds from here on."""
    said = tuple(task_values(task) for task in tasks)
    return _with_id(
        ControlEvent(
            "",
            source,
            epoch,
            _rounded(time),
            _utc_text(utc),
            action,
            prompt_version,
            said,
            tuple(alerts),
        ),
        nonce,
    )


def build_alert(
    said: AnswerEvent | StateEvent,
    *,
    alert: str,
    phrase: str,
    phase: AlertPhase,
    why: AlertReason,
    score: float,
    evidence: Sequence[AnswerEvent],
    boxes: Sequence[Box] = (),
) -> AlertEvent:
    """The event for an alert that begins, goes on or ends.

    Args:
        said: what made it so; its source, times and clock are the alert's.
        alert: its name, unlike all others of the stream.
        phrase: what is watched for.
        phase: what becomes of it.
        why: and for which reason.
        score: of the newest evidence.
        evidence: the answers that it rests on, in order, at least one.
        boxes: where it is in the last frame of these.
    """
    last = evidence[-1]
    return _with_id(
        AlertEvent(
            "", said.source, said.epoch, said.time, said.utc, alert, phrase, phase, why, score,
            tuple(each.id for each in evidence),
            tuple(index for each in evidence for index in each.frames),
            last.size,
            tuple(boxes),
            said.prompt_version if isinstance(said, AnswerEvent) else last.prompt_version,
        ),
        f"{said.id}/{alert}",
    )  # fmt: skip


def build_summary(
    counts: Counts,
    answered: int,
    utc: datetime,
    *,
    source: str,
    epoch: int = 0,
    time: float = 0.0,
    nonce: str = "",
) -> SummaryEvent:
    """The last event of a stream; counts and answered frames are those of the whole stream."""
    return _with_id(
        SummaryEvent("", source, epoch, _rounded(time), _utc_text(utc), answered, _filled(counts)),
        nonce,
    )


def parse_event(line: str) -> Event | None:
    """The reverse of `to_json`; None for a type that this version does not know.

    Unknown keys are ignored. Results come back without `tokens`, boxes without the raw text.

    Raises:
        DataError: not JSON, no event, or of a newer schema.
    """
    check_text(line, "event line")
    try:
        values = json.loads(line)
        if values["schema"] > SCHEMA:
            raise DataError(
                f"event of schema {values['schema']}, this program reads up to {SCHEMA}: update it"
            )
        return _event(values)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise DataError(f"not an event line ({error!r}): {line[:80]!r}") from error


def _event(values: Mapping[str, Any]) -> Event | None:
    head = {key: values[key] for key in ("id", "source", "epoch", "time", "utc")}
    match values["type"]:
        case "answer":
            width, height = values["size"]
            return AnswerEvent(
                **head,
                frames=tuple(values["frames"]),
                size=(width, height),
                results=tuple(parse_result(each, (width, height)) for each in values["results"]),
                counts=_counts(values),
                timing_ms=dict(values["timing_ms"]),
                model=dict(values["model"]),
                prompt_version=values["prompt_version"],
                damaged=bool(values.get("damaged", False)),
                user=values.get("user"),
                gate=_decision(values),
                left_out=_left_out(values),
            )
        case "state":
            return StateEvent(**head, state=values["state"], cause=values["cause"])
        case "control":
            said = tuple(dict(task) for task in values["tasks"])
            version = values["prompt_version"]
            return ControlEvent(
                **head,
                action=values["action"],
                prompt_version=version,
                tasks=said,
                alerts=tuple(dict(alert) for alert in values["alerts"]),
            )
        case "alert":
            width, height = values["size"]
            return AlertEvent(
                **head,
                **{key: values[key] for key in ("alert", "phrase", "phase", "why", "score")},
                evidence=tuple(values["evidence"]),
                frames=tuple(values["frames"]),
                size=(width, height),
                boxes=parse_box_values(values["boxes"]),
                prompt_version=values["prompt_version"],
            )
        case "summary":
            return SummaryEvent(**head, answered=values["answered"], counts=_counts(values))
        case _:
            return None


def _held(result: TaskResult, index: int, last: float, now: float) -> TaskResult:
    """What the gate found to hold still; what had not been looked at before is none the surer."""
    if result.verified_at is not None and result.verified_at < last:
        return result
    return carry(result, index, now)


def _left_out(values: Mapping[str, Any]) -> LeftOut | None:
    if "budget" not in values:
        return None
    left = values["budget"]
    return LeftOut(left.get("words"), tuple(left.get("left_out", ())), left.get("one_in", 1))


def _decision(values: Mapping[str, Any]) -> GateDecision | None:
    if "gate" not in values:
        return None
    gate = values["gate"]
    return GateDecision(bool(values["frames"]), gate["why"], gate["changed"])


def _with_id(event: _Event, nonce: str) -> _Event:
    # Not from the content alone: four sources that end in the same millisecond say the same.
    digest = blake2b((event.to_json() + nonce).encode(), digest_size=8).hexdigest()
    return replace(event, id=digest)


def _head(event: Event) -> HeadValues:
    return {
        "id": event.id,
        "source": event.source,
        "epoch": event.epoch,
        "time": event.time,
        "utc": event.utc,
    }


def _utc_text(utc: datetime) -> str:
    text = utc.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _rounded(number: float) -> float:
    return round(float(number), 6)  # no more digits than a video's clock has


def _filled(counts: Counts) -> Counts:
    return replace(counts, dropped={cause: 0 for cause in CAUSES} | counts.dropped)


def _counts(values: Mapping[str, Any]) -> Counts:
    return Counts(values["received"], values["skipped"], dict(values["dropped"]))
