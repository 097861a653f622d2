"""The MiniGPT-v2 template in its two forms, as segments that are tokenised elsewhere.

Published models were trained with one form and are run with another (one or two BOS, two or one
space before `[/INST]`); `PromptSpec` says which form a model wants (MiniGPT-v2, conversation.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Task, instruction


@dataclass(frozen=True, slots=True)
class Text:
    """Words to be tokenised on their own; can never become a control token."""

    text: str
    answer: bool = False  # True: training learns it


@dataclass(frozen=True, slots=True)
class Control:
    """A token that only the template may write."""

    token: Literal["bos", "end", "unk"]
    answer: bool = False


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """The place of the visual tokens of one frame."""

    index: int


Segment = Text | Control | ImageSlot
Turn = tuple[
    Task | str, str | None
]  # what is asked (a str stands as it is), and the answer if there is one

_CONTROL_TEXT = re.compile(r"(<unk>|<s>|</s>)")
_CONTROLS: dict[str, Literal["bos", "end", "unk"]] = {"<s>": "bos", "</s>": "end", "<unk>": "unk"}


def build_prompt(
    turns: Sequence[Turn],
    sizes: Sequence[Size],
    spec: ModelSpec,
    *,
    learn: bool = False,
    as_reference: bool = False,
) -> tuple[Segment, ...]:
    """Segments of a whole conversation; the first turn carries the frames.

    Args:
        turns: questions and answers in order; the last answer may be None (it is asked for).
        sizes: (width, height) of each frame, in order; none for a text-only conversation.
        spec: which template and form, and how boxes are written.
        learn: for training. The form is `train_form`, and answers are segments of their own,
            because they are generated token by token after the prompt; in the infer form they
            otherwise join the text before them, as the published inference does.
        as_reference: cut texts at literal `<s> </s> <unk>`, as the published code does. Never for
            what users type.
    """
    if not turns:
        raise InputError("prompt: there is no question")
    form = spec.prompt.train_form if learn else spec.prompt.infer_form
    # The published data sets end a question about an image with a space of their own, others not.
    trailing = "  " if form == "train" and sizes else " "
    segments: list[Segment] = [Control("bos")]
    for number, (task, answer) in enumerate(turns):
        frames = sizes if number == 0 else ()
        words = (
            task
            if isinstance(task, str)
            else instruction(task, sizes[0] if sizes else (1, 1), spec.boxes)
        )
        if form == "infer" or number > 0:
            segments.append(Control("bos"))
        segments += _question(words, len(frames), trailing)
        if answer is not None:
            segments.append(Text(answer, answer=True))
            if form == "train":
                segments.append(Control("end", answer=True))
    if form == "infer" and not learn:
        segments = _joined(segments)
    return tuple(_cut(segments) if as_reference else segments)


def _question(words: str, frames: int, trailing: str) -> list[Segment]:
    if frames == 0:
        return [Text(f"[INST] {words}{trailing}[/INST]")]
    segments: list[Segment] = [Text("[INST] <Img>")]
    for index in range(frames):
        segments += [ImageSlot(index), Text("</Img><Img>")]
    segments[-1] = Text(f"</Img> {words}{trailing}[/INST]")
    return segments


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    joined: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + segment.text)
        else:
            joined.append(segment)
    return joined


def _cut(segments: Sequence[Segment]) -> list[Segment]:
    cut: list[Segment] = []
    for segment in segments:
        if not isinstance(segment, Text):
            cut.append(segment)
            continue
        for part in _CONTROL_TEXT.split(segment.text):
            if part in _CONTROLS:
                cut.append(Control(_CONTROLS[part], segment.answer))
            elif part:
                cut.append(Text(part, segment.answer))
    return cut
