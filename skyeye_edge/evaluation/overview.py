"""A quick look at everything that is known about an image: one number per kind of question.

Small enough to be taken before and after a training; the other modules measure one task well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.results import ClassifyResult, GroundResult, TaskResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Ground, Task
from skyeye_edge.evaluation.answers import plain_answer
from skyeye_edge.evaluation.grounding import overlap
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.rouge import rouge_l

OverviewKind = Literal["captions", "boxes", "absent", "questions", "classes"]
OVERVIEW_KINDS: tuple[OverviewKind, ...] = get_args(OverviewKind)


@dataclass(frozen=True, slots=True, eq=False)
class KnownImage:
    """An image with whatever is known about it; boxes are in its pixels."""

    image: Picture
    captions: tuple[str, ...] = ()
    present: tuple[tuple[str, XYXY], ...] = ()  # phrases that mean one region each
    absent: tuple[str, ...] = ()  # phrases that mean none
    questions: tuple[tuple[str, str], ...] = ()  # with their answers
    classes: tuple[str, ...] = ()  # one of which is `label`
    label: str = ""


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """What was asked, wanted and said; boxes are in pixels.

    The score is 0..1: of a caption its ROUGE-L, of a box its overlap (intersection over union), of
    all others 1 if the answer is right, else 0.
    """

    kind: OverviewKind
    asked: str
    wanted: str
    said: str
    score: float
    wanted_box: XYXY | None = None
    said_box: XYXY | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CheckedAnswer:
        """The answer that `to_json` wrote down."""
        boxes = {key: values[key] and tuple(values[key]) for key in ("wanted_box", "said_box")}
        return cls(**{**values, **boxes})


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean score of some answers."""

    value: float  # 0..1
    number: int  # at least 1


def check_answers(predictor: Predictor, known: KnownImage) -> list[CheckedAnswer]:
    """Ask an image for everything that is known about it."""
    tasks: list[Task] = [Caption()] if known.captions else []
    tasks += [Ground(words) for words, _ in known.present]
    tasks += [Ground(words) for words in known.absent]
    tasks += [Ask(question) for question, _ in known.questions]
    tasks += [Classify(known.classes)] if known.label else []
    results = iter(predictor.run(known.image, tasks) if tasks else ())
    answers = [_caption(known.captions, next(results))] if known.captions else []
    answers += [_box(words, box, next(results)) for words, box in known.present]
    answers += [_absent(words, next(results)) for words in known.absent]
    answers += [_words("questions", *pair, next(results)) for pair in known.questions]
    if known.label:
        answers.append(_words("classes", "", known.label, next(results)))
    return answers


def mean_scores(answers: Iterable[CheckedAnswer]) -> dict[OverviewKind, Mean]:
    """Mean score per kind; kinds that were not asked are left out."""
    found = list(answers)
    scores = {kind: [each.score for each in found if each.kind == kind] for kind in OVERVIEW_KINDS}
    return {kind: Mean(sum(own) / len(own), len(own)) for kind, own in scores.items() if own}


def _caption(references: Sequence[str], result: TaskResult) -> CheckedAnswer:
    said = _said(result)
    return CheckedAnswer("captions", "", references[0], said, rouge_l(said, references))


def _box(words: str, box: XYXY, result: TaskResult) -> CheckedAnswer:
    found = result.boxes[0].hull if isinstance(result, GroundResult) and result.boxes else None
    score = overlap(found, box) if found else 0.0
    return CheckedAnswer("boxes", words, "found", _said(result), score, box, found)


def _absent(words: str, result: TaskResult) -> CheckedAnswer:
    found = result.boxes[0].hull if isinstance(result, GroundResult) and result.boxes else None
    said = _said(result)
    return CheckedAnswer("absent", words, "absent", said, float(said == "absent"), None, found)


def _words(kind: OverviewKind, asked: str, wanted: str, result: TaskResult) -> CheckedAnswer:
    said = _said(result)
    right = plain_answer(said) == plain_answer(wanted)
    return CheckedAnswer(kind, asked, wanted, said, float(right))


def _said(result: TaskResult) -> str:
    """The words of an answer; of a box whether it was found."""
    match result:
        case TextResult(text=text):
            return text
        case ClassifyResult(label=label):
            return label
        case _:
            return result.outcome
