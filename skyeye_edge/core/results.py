"""Typed answers to tasks: values that compare, pickle, become JSON, and draw themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.arguments import as_tuple
from skyeye_edge.core.boxes import XYXY, Box, Size
from skyeye_edge.core.errors import InputError

if TYPE_CHECKING:  # values that nobody draws or writes need neither numpy nor Pillow
    from PIL import Image

    from skyeye_edge.core.images import ImageLike
    from skyeye_edge.core.json_types import (
        AskedValues,
        BoxOutcome,
        BoxValues,
        CarriedValues,
        ClassifyValues,
        DetectValues,
        GroundValues,
        PhraseValues,
        PlacedValues,
        QuestionedValues,
        ResultValues,
        TextOutcome,
        TextTask,
        TextValues,
    )
    from skyeye_edge.core.reply import Stopped

NamedBoxes = tuple[tuple[str, tuple[Box, ...]], ...]  # what was looked for, and where it is
PLACE = "\ufffc"  # in a text to learn: boxes stand here that belong to no words
_NO_SIZE: Size = (0, 0)


class Result:
    """What every answer offers. Inherited, because four classes would repeat these methods.

    `size` and `image` are what an answer is about, and no part of it: they do not count in `==`.
    """

    __slots__ = ()
    outcome: TextOutcome | BoxOutcome
    text: str  # what the model wrote
    tokens: tuple[int, ...]
    stopped: Stopped
    score: float
    size: Size  # (width, height) of the asked image; (0, 0) if the result was made without one
    image: ImageLike | None  # the asked image, for `plot`; results of streams keep none
    carried_from: int | None  # index of an earlier frame that it is about; None: it was asked anew
    verified_at: float | None  # media seconds of the last frame that a carried result held for

    @property
    def found(self) -> bool:
        """True if there is at least one box; whether it is absent or uncertain, `outcome` says."""
        return any(boxes for _, boxes in self.named_boxes())

    def named_boxes(self) -> NamedBoxes:
        """What was looked for or named, each with its boxes; without any where it is not."""
        raise NotImplementedError

    def words(self) -> str:
        """What stands under a picture: the answer in words, as far as boxes do not say it."""
        raise NotImplementedError

    def to_dict(self) -> ResultValues:
        """The values that stand in an event's JSON; docs/formats.md names them.

        Raises:
            InputError: there are boxes, and the size of the image is not known.
        """
        raise NotImplementedError

    def _carried_values(self) -> CarriedValues:
        if self.carried_from is None or self.verified_at is None:
            return {}
        return {"carried_from": self.carried_from, "verified_at": _rounded(self.verified_at)}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        from skyeye_edge.core.json_types import json_line

        return json_line(self.to_dict())

    def plot(self, image: ImageLike | None = None) -> Image.Image:
        """The picture with the answer drawn on it; for several answers see `skyeye_edge.plot`."""
        return plot((self,), image)

    def save(self, path: str | PathLike[str], image: ImageLike | None = None) -> None:
        """Write the drawn picture; the name's end says the format, such as .png or .jpg.

        Raises:
            InputError: there is no such format, or `path` cannot be written.
        """
        from skyeye_edge.core.images import write_image

        write_image(self.plot(image), path)

    def show(self, image: ImageLike | None = None) -> None:
        """Show the drawn picture: in a notebook in its place, else in the desktop's viewer."""
        self.plot(image).show()

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows for a result that knows its image."""
        if self.image is None:
            return None
        from skyeye_edge.core.images import image_bytes

        return image_bytes(self.plot(), "PNG")


@dataclass(frozen=True, slots=True)
class TextResult(Result):
    """Words: the answer to Caption, Describe, Identify and Ask."""

    task: TextTask
    outcome: TextOutcome
    text: str  # words only, never marks of the box syntax
    question: str = ""  # of Ask
    box: XYXY | None = None  # of Identify
    phrases: NamedBoxes = ()  # parts of the text that have boxes; "" stands for a PLACE in it
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0  # mean probability of the tokens
    size: Size = field(default=_NO_SIZE, compare=False)
    image: ImageLike | None = field(default=None, compare=False, repr=False)
    carried_from: int | None = None
    verified_at: float | None = None

    def __post_init__(self) -> None:
        phrases = tuple((phrase, _labelled(boxes, phrase)) for phrase, boxes in self.phrases)
        object.__setattr__(self, "phrases", phrases)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Those of all phrases."""
        return tuple(box for _, boxes in self.phrases for box in boxes)

    def named_boxes(self) -> NamedBoxes:
        """The phrases."""
        return self.phrases

    def words(self) -> str:
        """The text; behind the question, if it was one."""
        return f"{self.question} {self.text}".strip()

    def to_dict(self) -> TextValues:
        """The values that stand in an event's JSON."""
        asked: AskedValues = {}
        if self.task == "ask":
            asked["question"] = self.question
        if self.box is not None:
            asked["box"] = list(self.box)
        placed: PlacedValues = {}
        if self.phrases:
            placed["phrases"] = [self._phrase_values(*phrase) for phrase in self.phrases]
        return {
            "task": self.task,
            **asked,
            "outcome": self.outcome,
            "text": self.text,
            "stopped": self.stopped,
            "score": _rounded(self.score),
            **placed,
            **self._carried_values(),
        }

    def _phrase_values(self, phrase: str, boxes: tuple[Box, ...]) -> PhraseValues:
        return {"phrase": phrase, "boxes": box_values(boxes, self.size)}


@dataclass(frozen=True, slots=True)
class ClassifyResult(Result):
    """Which of the given names the frame shows, or answers `question`."""

    label: str  # "" if the answer was cut or unreadable
    outcome: TextOutcome
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0
    size: Size = field(default=_NO_SIZE, compare=False)
    image: ImageLike | None = field(default=None, compare=False, repr=False)
    carried_from: int | None = None
    verified_at: float | None = None
    question: str = ""  # "": which of them the frame shows

    @property
    def boxes(self) -> tuple[Box, ...]:
        """None: a class is about the whole image."""
        return ()

    def named_boxes(self) -> NamedBoxes:
        """Nothing."""
        return ()

    def words(self) -> str:
        """The label; behind the question, if it was one."""
        return f"{self.question} {self.label}".strip()

    def to_dict(self) -> ClassifyValues:
        """The values that stand in an event's JSON."""
        questioned: QuestionedValues = {"question": self.question} if self.question else {}
        return {
            "task": "classify",
            **questioned,
            "outcome": self.outcome,
            "label": self.label,
            "stopped": self.stopped,
            "score": _rounded(self.score),
            **self._carried_values(),
        }


@dataclass(frozen=True, slots=True)
class GroundResult(Result):
    """Where `phrase` is in the frame."""

    phrase: str
    outcome: BoxOutcome
    boxes: tuple[Box, ...]
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0
    size: Size = field(default=_NO_SIZE, compare=False)
    image: ImageLike | None = field(default=None, compare=False, repr=False)
    carried_from: int | None = None
    verified_at: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _labelled(self.boxes, self.phrase))

    def named_boxes(self) -> NamedBoxes:
        """The phrase."""
        return ((self.phrase, self.boxes),)

    def words(self) -> str:
        """That it was not found, and how."""
        return "" if self.boxes else f"{self.phrase}: {self.outcome}"

    def to_dict(self) -> GroundValues:
        """The values that stand in an event's JSON."""
        return {
            "task": "ground",
            "phrase": self.phrase,
            "outcome": self.outcome,
            "stopped": self.stopped,
            "score": _rounded(self.score),
            "boxes": box_values(self.boxes, self.size),
            **self._carried_values(),
        }


@dataclass(frozen=True, slots=True)
class DetectResult(Result):
    """All objects called `name` in the frame."""

    name: str
    outcome: BoxOutcome
    boxes: tuple[Box, ...]
    text: str = ""
    tokens: tuple[int, ...] = ()
    stopped: Stopped = "end"
    score: float = 1.0
    size: Size = field(default=_NO_SIZE, compare=False)
    image: ImageLike | None = field(default=None, compare=False, repr=False)
    carried_from: int | None = None
    verified_at: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _labelled(self.boxes, self.name))

    def named_boxes(self) -> NamedBoxes:
        """The name."""
        return ((self.name, self.boxes),)

    def words(self) -> str:
        """That none was found, and how."""
        return "" if self.boxes else f"{self.name}: {self.outcome}"

    def to_dict(self) -> DetectValues:
        """The values that stand in an event's JSON."""
        return {
            "task": "detect",
            "name": self.name,
            "outcome": self.outcome,
            "stopped": self.stopped,
            "score": _rounded(self.score),
            "boxes": box_values(self.boxes, self.size),
            **self._carried_values(),
        }


TaskResult = TextResult | ClassifyResult | GroundResult | DetectResult


def carry(result: TaskResult, index: int, verified_at: float) -> TaskResult:
    """An earlier result in place of a new one.

    Args:
        result: what was answered; one that was carried already stays about its own frame.
        index: of the frame that it was answered about.
        verified_at: media seconds of the last frame that it held for.
    """
    first = index if result.carried_from is None else result.carried_from
    return replace(result, carried_from=first, verified_at=_rounded(verified_at))


def as_results(results: Result | Iterable[Result]) -> tuple[Result, ...]:
    """One result or several; raises InputError for anything else."""
    several = (results,) if isinstance(results, Result) else results
    given = as_tuple(several, "results", "[result]")
    for result in given:
        if not isinstance(result, Result):
            raise InputError(f"{result!r} is no result; give what a model or an event gave")
    return given


def plot(results: Result | Sequence[Result], image: ImageLike | None = None) -> Image.Image:
    """A picture with all these answers on it: boxes with their names and scores, words in a bar.

    Args:
        results: one, or those about one image, such as `Model.run` or an event gives.
        image: the image; left out, the one that the results know. Those of a stream know none,
            so that a long stream does not fill the memory. It may be of another size.

    Raises:
        InputError: no image is given, and the results know none.
        MediaError: the image cannot be read (any more).
    """
    results = as_results(results)
    from PIL import Image

    from skyeye_edge.core.drawing import build_drawing
    from skyeye_edge.core.images import as_frame

    known = next((result.image for result in results if result.image is not None), None)
    if image is None and known is None:
        raise InputError(
            "these results keep no image (those of a stream never do): give it, plot(image)"
        )
    frame = as_frame(known if image is None else image)  # type: ignore[arg-type]  # one is given
    size = next((result.size for result in results if result.size != _NO_SIZE), frame.size)
    named = [entry for result in results for entry in result.named_boxes()]
    drawing = build_drawing(named, caption(results), size, frame.size)
    return Image.fromarray(drawing.on(frame.rgb))


def caption(results: Sequence[Result]) -> str:
    """What stands in the bar under a picture."""
    words = (result.words().strip() for result in results)
    return "  |  ".join(part for part in words if part)


def parse_result(values: Mapping[str, Any], size: Size) -> TaskResult:
    """The reverse of `to_dict`, without tokens, and without the raw text of boxes.

    Raises:
        KeyError, TypeError, ValueError: it is no result.
        InputError: a box has swapped corners.
    """
    end = {"stopped": values["stopped"], "score": values["score"], "size": size}
    end |= {key: values.get(key) for key in ("carried_from", "verified_at")}
    outcome = values["outcome"]
    match values["task"]:
        case "classify":
            asked, label = values.get("question", ""), values["label"]
            return ClassifyResult(label, outcome, label, question=asked, **end)
        case "ground":
            return GroundResult(values["phrase"], outcome, parse_box_values(values["boxes"]), **end)
        case "detect":
            return DetectResult(values["name"], outcome, parse_box_values(values["boxes"]), **end)
        case task:
            rows = values.get("phrases", ())
            phrases = [(row["phrase"], parse_box_values(row["boxes"])) for row in rows]
            return TextResult(
                task,
                outcome,
                values["text"],
                question=values.get("question", ""),
                box=_xyxy(values["box"]) if "box" in values else None,
                phrases=tuple(phrases),
                **end,
            )


def _labelled(boxes: Sequence[Box], label: str) -> tuple[Box, ...]:
    return tuple(box if box.label == label else replace(box, label=label) for box in boxes)


def _rounded(number: float) -> float:
    return round(float(number), 6)


def box_values(boxes: Sequence[Box], size: Size) -> list[BoxValues]:
    """Boxes as they stand in JSON; `size` is (width, height) of their picture in pixels.

    Raises:
        InputError: there are boxes, and the size is not known.
    """
    if boxes and size == _NO_SIZE:
        raise InputError(
            "this result was made without the size of its image: "
            "dataclasses.replace(result, size=(width, height)) adds it"
        )
    width, height = size
    rows: list[BoxValues] = []
    for box in boxes:
        # A thousandth of a pixel is enough, and `norm` follows from what is written.
        x1, y1, x2, y2 = (round(float(edge), 3) for edge in box.xyxy)
        norm = [_rounded(x1 / width), _rounded(y1 / height)]
        norm += [_rounded(x2 / width), _rounded(y2 / height)]
        row: BoxValues = {"xyxy": [x1, y1, x2, y2], "norm": norm, "score": _rounded(box.score)}
        if box.angle:
            row["angle"] = round(float(box.angle), 3)
        rows.append(row)
    return rows


def parse_box_values(rows: Sequence[Mapping[str, Any]]) -> tuple[Box, ...]:
    """The reverse of `box_values`."""
    return tuple(
        Box(_xyxy(row["xyxy"]), row["score"], angle=float(row.get("angle", 0))) for row in rows
    )


def _xyxy(edges: Sequence[float]) -> XYXY:
    x1, y1, x2, y2 = edges
    return x1, y1, x2, y2
