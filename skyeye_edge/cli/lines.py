"""Events as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyeye_edge.core.boxes import Box
    from skyeye_edge.core.events import AlertEvent, AnswerEvent, Event
    from skyeye_edge.core.results import TaskResult


def event_line(event: Event) -> str:
    """One line of text: the media time, then every answer."""
    from skyeye_edge.core.events import (
        AlertEvent,
        AnswerEvent,
        ControlEvent,
        StateEvent,
        SummaryEvent,
    )

    match event:
        case AnswerEvent():
            still = "" if event.frames else " [unchanged]"
            return f"{clock(event.time)}  {answers_text(event)}{still}"
        case StateEvent():
            return f"{clock(event.time)}  {event.state}: {event.cause}"
        case ControlEvent(tasks=tasks):
            asked = "; ".join(" ".join(str(said) for said in task.values()) for task in tasks)
            return f"{clock(event.time)}  {event.action} (version {event.prompt_version}): {asked}"
        case AlertEvent():
            return f"{clock(event.time)}  ALERT {alert_text(event)}"
        case SummaryEvent():
            dropped = sum(event.counts.dropped.values())
            return (
                f"{event.counts.received} frames: {event.answered} answered, "
                f"{event.counts.skipped} not due, {dropped} dropped"
            )


def says_it_again(event: Event) -> bool:
    """Whether an event tells people nothing that the answer before it has not told."""
    from skyeye_edge.core.events import AlertEvent

    return isinstance(event, AlertEvent) and event.phase == "update"


def alert_text(event: AlertEvent) -> str:
    """What is seen, where, how surely, and what became of it."""
    words = {"begin": "begins", "update": "goes on", "end": "ends"}
    reasons = {"ended": ": the stream has ended", "removed": ": it is not watched for any more"}
    where = "".join(f" at {box_text(box)}" for box in event.boxes[:1])
    said = f"{event.alert} {words[event.phase]}{reasons.get(event.why, '')}"
    return f"{said}{where}" if where else f"{said} ({event.score:.2f})"


def answers_text(event: AnswerEvent) -> str:
    """The answers of an event, parted by bars."""
    return " | ".join(result_text(result) for result in event.results)


def result_text(result: TaskResult) -> str:
    """What was asked, as far as it is not plain, and what was answered."""
    from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult

    match result:
        case TextResult():
            words = result.text if result.outcome == "text" else f"{result.text} [{result.outcome}]"
            return f"{result.question} {words}" if result.question else words
        case ClassifyResult():
            label = result.label or f"[{result.outcome}]"
            return f"{result.question} {label}".lstrip()
        case GroundResult(phrase=name, boxes=boxes) | DetectResult(name=name, boxes=boxes):
            places = ", ".join(box_text(box) for box in boxes) or result.outcome
            return f"{name}: {places}"


def box_text(box: Box) -> str:
    """Left, top, right, bottom in whole pixels, by how much it is turned, and the score."""
    edges = " ".join(f"{edge:.0f}" for edge in box.xyxy)
    turned = f" turned {box.angle:.0f}°" if box.angle else ""
    return f"{edges}{turned} ({box.score:.2f})"


def clock(seconds: float) -> str:
    """Media time as h:mm:ss.mmm."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}.{thousandths:03d}"
