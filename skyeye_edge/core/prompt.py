"""Templates of prompts, as segments that are tokenised elsewhere.

MiniGPT-v2's has two forms: published models were trained with one and are run with the other (one
or two BOS, two or one space before `[/INST]`); `PromptSpec` says which form a model wants
(MiniGPT-v2, conversation.py). Vicuna's is that of the LLaVA-1.5 family (LLaVA, conversation.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.spec import ModelSpec, PromptSpec
from skyeye_edge.core.tasks import Task, instruction


@dataclass(frozen=True, slots=True)
class Text:
    """Words to be tokenised on their own; can never become a control token."""

    text: str
    answer: bool = False  # True: training learns it
    spaced: bool = True  # False: a tokenizer that puts a space before its input puts none here


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
    size, wording = (sizes[0] if sizes else (1, 1)), spec.prompt.instructions
    asked = [
        (task if isinstance(task, str) else instruction(task, size, spec.boxes, wording), answer)
        for task, answer in turns
    ]
    segments = TEMPLATES[spec.prompt.template](asked, len(sizes), spec.prompt, learn)
    return tuple(_cut(segments) if as_reference else segments)


def text_ids(text: Text, encode: Callable[[str], list[int]]) -> list[int]:
    """Ids of a text by a tokenizer that may put a space before whatever it is given.

    Where there must be none, a line end takes the space and is cut off again: it is a token of its
    own in every vocabulary that we take (`import` proves it).
    """
    if text.spaced:
        return encode(text.text)
    return encode("\n" + text.text)[len(encode("\n")) :]


_Asked = Sequence[tuple[str, str | None]]  # words, answer


def _minigptv2(asked: _Asked, frames: int, prompt: PromptSpec, learn: bool) -> list[Segment]:
    form = prompt.train_form if learn else prompt.infer_form
    # The published data sets end a question about an image with a space of their own, others not.
    trailing = "  " if form == "train" and frames else " "
    segments: list[Segment] = [Control("bos")]
    for number, (words, answer) in enumerate(asked):
        if form == "infer" or number > 0:
            segments.append(Control("bos"))
        segments += _question(words, 0 if number else frames, trailing)
        if answer is not None:
            segments.append(Text(answer, answer=True))
            if form == "train":
                segments.append(Control("end", answer=True))
    return _joined(segments) if form == "infer" and not learn else segments


def _question(words: str, frames: int, trailing: str) -> list[Segment]:
    if frames == 0:
        return [Text(f"[INST] {words}{trailing}[/INST]")]
    segments: list[Segment] = [Text("[INST] <Img>")]
    for index in range(frames):
        segments += [ImageSlot(index), Text("</Img><Img>")]
    segments[-1] = Text(f"</Img> {words}{trailing}[/INST]")
    return segments


def _vicuna(asked: _Asked, frames: int, prompt: PromptSpec, learn: bool) -> list[Segment]:
    """`SYSTEM USER: <image>\nwords ASSISTANT: answer</s>USER: ...`, behind one BOS."""
    behind_image, behind_end = prompt.spaces != "first", prompt.spaces == "each"
    segments: list[Segment] = [Control("bos")]
    if prompt.system:
        segments.append(Text(f"{prompt.system} "))
    for number, (words, answer) in enumerate(asked):
        segments.append(Text("USER: ", spaced=number == 0 or behind_end))
        for index in range(0 if number else frames):
            segments += [ImageSlot(index), Text("\n", spaced=behind_image)]
        segments.append(Text(f"{words} ASSISTANT:"))
        if answer is not None:
            segments.append(Text(f" {answer}", answer=True, spaced=False))
            segments.append(Control("end", answer=True))
    return _joined(segments, keep_answers=learn)


TEMPLATES: Mapping[str, Callable[[_Asked, int, PromptSpec, bool], list[Segment]]] = (
    MappingProxyType({"minigptv2": _minigptv2, "vicuna": _vicuna})
)


def _joined(segments: Sequence[Segment], *, keep_answers: bool = False) -> list[Segment]:
    """Texts in a row as one, as it stands before a tokenizer cuts it."""
    joined: list[Segment] = []
    for segment in segments:
        last = joined[-1] if joined else None
        apart = keep_answers and isinstance(segment, Text) and segment.answer
        if isinstance(segment, Text) and isinstance(last, Text) and not apart:
            joined[-1] = replace(last, text=last.text + segment.text)
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
                cut.append(replace(segment, text=part))
    return cut
