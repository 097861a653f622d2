"""What stands in the JSON of results, as types: `to_dict` gives them, the schema is made of them.

Metadata of `Annotated` is for the schema: a string is a description, a dict its keywords.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal, TypedDict

from skyeye_edge.core.reply import Stopped

TextTask = Literal["caption", "describe", "identify", "ask"]
TextOutcome = Literal["text", "cut", "unreadable"]
# "cut": the token limit came first; "uncertain": the model gave a box, but none from min_score on
BoxOutcome = Literal["found", "absent", "uncertain", "cut", "unreadable"]

Share = Annotated[float, {"minimum": 0, "maximum": 1}]
Edges = Annotated[
    list[float], {"minItems": 4, "maxItems": 4}, "left, top, right, bottom in pixels, upright"
]
Norm = Annotated[
    list[float], {"minItems": 4, "maxItems": 4}, "the same as shares of width and height"
]


class BoxValues(TypedDict):
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


class _Words(TypedDict):
    task: TextTask
    outcome: TextOutcome
    text: str
    stopped: Stopped
    score: Share


class TextValues(_Words, AskedValues, PlacedValues):
    """The answer to Caption, Describe, Identify or Ask."""


class ClassifyValues(TypedDict):
    """The answer to Classify."""

    task: Literal["classify"]
    outcome: TextOutcome
    label: Annotated[str, "one of the given names; empty if the answer was cut or unreadable"]
    stopped: Stopped
    score: Share


class GroundValues(TypedDict):
    """The answer to Ground."""

    task: Literal["ground"]
    phrase: str
    outcome: BoxOutcome
    stopped: Stopped
    score: Share
    boxes: list[BoxValues]


class DetectValues(TypedDict):
    """The answer to Detect."""

    task: Literal["detect"]
    name: str
    outcome: BoxOutcome
    stopped: Stopped
    score: Share
    boxes: list[BoxValues]


ResultValues = TextValues | ClassifyValues | GroundValues | DetectValues


def json_line(values: Mapping[str, object]) -> str:
    """One line of JSON, without the line's end."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    # A file name may hold bytes that are no text; a line must be UTF-8 all the same.
    return text.encode("utf-8", "replace").decode()
