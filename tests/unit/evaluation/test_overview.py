from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.results import ClassifyResult, GroundResult, TaskResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Ground, Task
from skyeye_edge.evaluation import (
    CheckedAnswer,
    KnownImage,
    Picture,
    check_answers,
    mean_scores,
)

EVERYTHING = KnownImage(
    np.zeros((8, 8, 3), np.uint8),
    captions=("a boat .", "a small boat ."),
    present=(("the boat", (0.0, 0.0, 4.0, 4.0)), ("the pier", (4.0, 4.0, 8.0, 8.0))),
    absent=("a crane", "a car"),
    questions=(("how many boats?", "2"), ("is it day?", "Yes.")),
    classes=("farm", "port"),
    label="port",
)


class Guesser:
    """One box, one word and one sentence for everything; counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        self.calls += 1
        return [self.answer(task) for task in tasks]

    def answer(self, task: Task) -> TaskResult:
        match task:
            case Caption():
                return TextResult("caption", "text", "A small boat.")
            case Ground(phrase="a car"):
                return GroundResult("a car", "absent", ())
            case Ground(phrase=phrase):
                return GroundResult(phrase, "found", (Box((0.0, 0.0, 4.0, 2.0)),))
            case Ask(question=question):
                return TextResult("ask", "text", "yes", question=question)
            case Classify(names=names):
                return ClassifyResult(names[0], "text")
            case _:
                raise AssertionError(task)


def test_everything_known_about_an_image_is_asked_at_once_and_scored() -> None:
    guesser = Guesser()

    means = mean_scores(check_answers(guesser, EVERYTHING))

    assert guesser.calls == 1
    assert {kind: (mean.value, mean.number) for kind, mean in means.items()} == {
        "captions": (1.0, 1),
        "boxes": (pytest.approx(0.25), 2),  # half of the first, nothing of the second
        "absent": (0.5, 2),
        "questions": (0.5, 2),
        "classes": (0.0, 1),
    }


def test_nothing_is_asked_of_an_image_that_nothing_is_known_about() -> None:
    guesser = Guesser()

    assert check_answers(guesser, KnownImage(EVERYTHING.image)) == []
    assert guesser.calls == 0


def test_an_answer_comes_back_from_its_json() -> None:
    answers = check_answers(Guesser(), EVERYTHING)

    assert [CheckedAnswer.from_json(each.to_json()) for each in answers] == answers


def test_kinds_that_were_not_asked_have_no_score() -> None:
    assert mean_scores([]) == {}
