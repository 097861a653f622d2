"""Questions with known answers, put to whatever answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from skyeye_edge.core.errors import MediaError
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
)
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.predictor import ClipPredictor, Picture

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question about an image or a clip, and what would be right."""

    # One; several of a clip, in their order. A function gives its picture when it is needed.
    pictures: tuple[Picture | Callable[[], Picture], ...]
    task: Task
    unanswered: Answered  # all that is known before the model has spoken

    def named(self, data: str) -> Sample:
        """The same as one of a set among others: names of images may recur between them."""
        known = self.unanswered
        key, image = f"{data}/{known.key}", f"{data}/{known.image}"
        return replace(self, unanswered=replace(known, key=key, image=image))


def ask_all(
    predictor: ClipPredictor, samples: Iterable[Sample], most_frames: int = 0
) -> Iterator[Answered]:
    """Answers in the order of the samples; an image is encoded once for those that follow another.

    An image that cannot be read is no reason to stop: its questions count as wrong, and say why.

    Args:
        predictor: who is asked.
        samples: the questions; about an image they follow each other.
        most_frames: that the model takes of a clip, evenly spaced; 0: all.
    """
    for _, group in itertools.groupby(samples, key=lambda sample: sample.unanswered.image):
        asked = list(group)
        try:
            frames = evenly(asked[0].pictures, most_frames)
            pictures = [each() if callable(each) else each for each in frames]
            subject = pictures[0] if len(pictures) == 1 else pictures
            results = predictor.run(subject, [sample.task for sample in asked])
        except MediaError as error:
            yield from (replace(sample.unanswered, problem=str(error)) for sample in asked)
            continue
        for sample, result in zip(asked, results, strict=True):
            yield note_answer(sample.unanswered, result)


def note_answer(question: Answered, result: TaskResult) -> Answered:
    """A question with what was said."""
    boxes = result.boxes if isinstance(result, GroundResult | DetectResult) else ()
    return replace(
        question,
        outcome=result.outcome,
        said=result.label if isinstance(result, ClassifyResult) else result.text,
        boxes=tuple(box.hull for box in boxes),
        scores=tuple(float(box.score) for box in boxes),
        size=result.size if all(result.size) else question.size,
    )


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most `most` evenly spaced items; all if it is 0."""
    if not 0 < most < len(items):
        return list(items)
    if most == 1:
        return [items[len(items) // 2]]
    return [items[place * (len(items) - 1) // (most - 1)] for place in range(most)]
