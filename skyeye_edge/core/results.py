"""Typed answers to tasks: read from replies, and written as the text that training learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from skyeye_edge.core.boxes import XYXY, Box, BoxSpec, Size, box_text
from skyeye_edge.core.reply import Stopped

TextOutcome = Literal["text", "cut", "unreadable"]
BoxOutcome = Literal["found", "absent", "cut", "unreadable"]  # "cut": the token limit came first


@dataclass(frozen=True, slots=True)
class TextResult:
    """Words: the answer to Caption, Describe, Identify and Ask."""

    task: Literal["caption", "describe", "identify", "ask"]
    outcome: TextOutcome
    text: str
    question: str = ""  # of Ask
    box: XYXY | None = None  # of Identify
    phrases: tuple[tuple[str, tuple[Box, ...]], ...] = ()  # of Describe(boxes=True)
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0  # mean probability of the tokens


@dataclass(frozen=True, slots=True)
class ClassifyResult:
    """Which of the given names the frame shows."""

    label: str  # "" if the answer was cut or unreadable
    outcome: TextOutcome
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class GroundResult:
    """Where `phrase` is in the frame."""

    phrase: str
    outcome: BoxOutcome
    boxes: tuple[Box, ...]
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0

    @property
    def found(self) -> bool:
        """True if there is at least one box; whether it is really absent, `outcome` says."""
        return bool(self.boxes)


@dataclass(frozen=True, slots=True)
class DetectResult:
    """All objects called `name` in the frame."""

    name: str
    outcome: BoxOutcome
    boxes: tuple[Box, ...]
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0

    @property
    def found(self) -> bool:
        """True if there is at least one box; whether there is really none, `outcome` says."""
        return bool(self.boxes)


TaskResult = TextResult | ClassifyResult | GroundResult | DetectResult


def format_answer(result: TaskResult, size: Size, boxes: BoxSpec) -> str:
    """The text by which a model says `result`; what training learns and chat remembers."""
    match result:
        case TextResult():
            return result.text
        case ClassifyResult():
            return result.label
        case GroundResult(boxes=found):
            return box_text(found[0].xyxy, size, boxes) if found else boxes.absent
        case DetectResult(name=name, boxes=found):
            if not found:
                return boxes.absent
            return f"<p>{name}</p> " + "<delim>".join(box_text(b.xyxy, size, boxes) for b in found)
