"""What stands in the JSON of results and events, as types: `to_dict` gives them.

The JSON Schema is made of them (build_tools/event_schema.py). Metadata of `Annotated` is for it: a
string is a description, a dict holds keywords.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from skyeye_edge.core.frame import State
from skyeye_edge.core.reply import Stopped

GateReason = Literal["first", "change", "shift", "size", "restart", "renewal", "unchanged"]
Action = Literal["set_tasks", "pause", "resume"]
TextTask = Literal["caption", "describe", "identify", "ask"]
TextOutcome = Literal["text", "cut", "unreadable", "failed"]
# "cut": the token limit came first; "failed": it could not be asked;
# "uncertain": the model gave a box, but none from min_score on
BoxOutcome = Literal["found", "absent", "uncertain", "cut", "unreadable", "failed"]

AlertPhase = Literal["begin", "update", "end"]
# "seen", "gone": by enough answers; "ended": its source has; "removed": nobody watches for it now
AlertReason = Literal["seen", "gone", "ended", "removed"]

Count = Annotated[int, {"minimum": 0}]
Share = Annotated[float, {"minimum": 0, "maximum": 1}]
Edges = Annotated[
    list[float], {"minItems": 4, "maxItems": 4}, "left, top, right, bottom in pixels, upright"
]
Norm = Annotated[
    list[float], {"minItems": 4, "maxItems": 4}, "the same as shares of width and height"
]


class TurnedValues(TypedDict, total=False):
    """How a box lies."""

    angle: Annotated[
        float, "degrees clockwise by which `xyxy` is turned about its centre; missing: it is not"
    ]


class BoxValues(TurnedValues):
    """A box."""

    xyxy: Edges
    norm: Norm
    score: Share


class PhraseValues(TypedDict):
    """A phrase of a description, and where it is."""

    phrase: str
    boxes: list[BoxValues]


class AskedValues(TypedDict, total=False):
    """What a text is about."""

    question: Annotated[str, "of ask"]
    box: Annotated[Edges, "of identify"]


class PlacedValues(TypedDict, total=False):
    """Where the things are that a text names."""

    phrases: Annotated[list[PhraseValues], "where the text said where things are"]


class CarriedValues(TypedDict, total=False):
    """That a result is an earlier one, which was not asked for anew."""

    carried_from: Annotated[Count, "index of the frame that was asked about"]
    verified_at: Annotated[
        float, "media seconds of the last frame that it held for: that one, or one like it"
    ]


class _Words(TypedDict):
    task: TextTask
    outcome: TextOutcome
    text: str
    stopped: Stopped
    score: Share


class TextValues(_Words, AskedValues, PlacedValues, CarriedValues):
    """The answer to Caption, Describe, Identify or Ask."""


class QuestionedValues(TypedDict, total=False):
    """What a class answers."""

    question: Annotated[str, "of which the label is the answer; missing: what the frame shows"]


class ClassifyValues(QuestionedValues, CarriedValues):
    """The answer to Classify."""

    task: Literal["classify"]
    outcome: TextOutcome
    label: Annotated[str, "one of the given names; empty if the answer was cut or unreadable"]
    stopped: Stopped
    score: Share


class GroundValues(CarriedValues):
    """The answer to Ground."""

    task: Literal["ground"]
    phrase: str
    outcome: BoxOutcome
    stopped: Stopped
    score: Share
    boxes: list[BoxValues]


class DetectValues(CarriedValues):
    """The answer to Detect."""

    task: Literal["detect"]
    name: str
    outcome: BoxOutcome
    stopped: Stopped
    score: Share
    boxes: list[BoxValues]


ResultValues = TextValues | ClassifyValues | GroundValues | DetectValues

Dropped = Annotated[dict[str, Count], "frames that were lost, by cause"]


class HeadValues(TypedDict):
    """What stands in every event."""

    id: Annotated[str, "unique"]
    source: Annotated[str, "name of the source, without credentials"]
    epoch: Annotated[Count, "how often the source has begun anew"]
    time: Annotated[float, "media time in seconds since the source began"]
    utc: Annotated[str, {"format": "date-time"}, "wall clock"]


class UserValues(TypedDict, total=False):
    """What the user gave along with a frame."""

    user: Annotated[Any, "what was given to Push.push with the frame"]


class DamageValues(TypedDict, total=False):
    """That a picture is not whole."""

    damaged: Annotated[
        bool, "that data of it, or of one that it is drawn from, are missing or wrong"
    ]


class DecisionValues(TypedDict):
    """What the gate decided."""

    why: GateReason
    changed: Annotated[Share, "share of the picture that differs from the last asked one"]


class BudgetValues(TypedDict, total=False):
    """What was left out, so that the answer came in time."""

    words: Annotated[Count, "tokens that answers in words could have"]
    left_out: Annotated[list[str], "tasks that were not asked; results that were known are carried"]
    one_in: Annotated[Count, "so many due frames; the others counted as `budget`"]


class GatedValues(TypedDict, total=False):
    """Of a stream with a gate or a budget."""

    gate: DecisionValues
    budget: BudgetValues


class _ResultsValues(HeadValues, UserValues, DamageValues):
    schema: Literal[1]
    type: Literal["answer"]
    size: Annotated[list[int], {"minItems": 2, "maxItems": 2}, "width and height in pixels"]
    prompt_version: Annotated[int, "counts changes of the tasks during a stream"]
    results: Annotated[list[ResultValues], "one per task"]
    received: Annotated[Count, "decoded frames, and decode calls that failed"]
    skipped: Annotated[Count, "frames not due"]
    dropped: Dropped
    timing_ms: Annotated[dict[str, float], "by step"]
    model: Annotated[dict[str, str], "name, hash and variants of the bundle that answered"]


class AnswerValues(_ResultsValues, GatedValues):
    """The answers about one frame or clip, and what became of the frames since the last answer."""

    frames: Annotated[list[Count], {"minItems": 1}, "indices of the asked frames"]


class HeartbeatValues(_ResultsValues):
    """That nothing has changed; the results are carried."""

    frames: Annotated[list[Count], {"maxItems": 0}, "none was asked"]
    gate: DecisionValues


class StateValues(HeadValues):
    """The source changed its state."""

    schema: Literal[1]
    type: Literal["state"]
    state: State
    cause: str


class AlertValues(HeadValues):
    """Something that was watched for is there, is still there, or is gone."""

    schema: Literal[1]
    type: Literal["alert"]
    alert: Annotated[str, "its name; where none was given, the phrase"]
    phrase: Annotated[str, "what is watched for"]
    phase: AlertPhase
    why: AlertReason
    score: Annotated[Share, "of the newest evidence: of the box, or the probability of yes"]
    evidence: Annotated[list[str], "ids of the answers that it rests on"]
    frames: Annotated[list[Count], "indices of the frames of these; the last one is its picture"]
    size: Annotated[list[int], {"minItems": 2, "maxItems": 2}, "width and height in pixels"]
    boxes: Annotated[list[BoxValues], "where it is in that picture, as far as boxes were asked for"]
    prompt_version: Annotated[int, "counts changes of the tasks during a stream"]


class SummaryValues(HeadValues):
    """The whole stream in numbers: received = answered + skipped + sum(dropped)."""

    schema: Literal[1]
    type: Literal["summary"]
    received: Count
    answered: Annotated[Count, "frames"]
    skipped: Count
    dropped: Dropped


class ControlValues(HeadValues):
    """Somebody changed what a stream does."""

    schema: Literal[1]
    type: Literal["control"]
    action: Action
    prompt_version: Annotated[int, "that holds from here on"]
    tasks: Annotated[list[dict[str, Any]], "what is asked from here on, as in a run's first line"]
    alerts: Annotated[list[dict[str, Any]], "what is watched for from here on"]


class RunValues(HeadValues):
    """The first line of a recording's file: what the answers are about, compared by --resume."""

    schema: Literal[1]
    type: Literal["run"]
    writer: Literal["skyeye-edge"]
    version: str
    media: Annotated[dict[str, Any] | None, "size and hash of the recording; null for a live one"]
    tasks: Annotated[list[dict[str, Any]], "what was asked, as far as it is not the default"]
    model: dict[str, str]
    min_score: Annotated[Share, "of boxes, where a task states none"]
    every: Annotated[float, "seconds between answers"]
    clip: Annotated[int, "frames that were asked about as one"]


EventValues = (
    AnswerValues | HeartbeatValues | StateValues | ControlValues | AlertValues | SummaryValues
)
LineValues = EventValues | RunValues


def json_line(values: Mapping[str, object]) -> str:
    """One line of JSON, without the line's end."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    # A file name may hold bytes that are no text; a line must be UTF-8 all the same.
    return text.encode("utf-8", "replace").decode()
