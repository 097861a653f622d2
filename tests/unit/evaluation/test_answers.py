from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skyeye_edge.core.results import ClassifyResult, TaskResult, TextResult
from skyeye_edge.core.tasks import Ask, Classify, Task
from skyeye_edge.evaluation import (
    ClassItem,
    Picture,
    Share,
    VqaItem,
    evaluate_classes,
    evaluate_vqa,
)


class Answers:
    """Answers a question from a list, and every class with the first of the names."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        return [self.answer(task) for task in tasks]

    def answer(self, task: Task) -> TaskResult:
        match task:
            case Ask(question=question):
                return TextResult("ask", "text", self.known[question], question=question)
            case Classify(names=names):
                return ClassifyResult(names[0], "text")
            case _:
                raise AssertionError(task)


def test_answers_are_compared_without_case_and_full_stop() -> None:
    asked = (("is it?", "yes"), ("how many?", "2"), ("what?", "a pier"))
    known = {"is it?": "Yes.", "how many?": "3", "what?": "A  pier"}

    report = evaluate_vqa(Answers(known), [VqaItem(Path("x"), asked)])

    assert report.all_kinds == Share(2, 3)
    assert report.by_kind == {
        "number": Share(0, 1),
        "words": Share(1, 1),
        "yes or no": Share(1, 1),
    }


def test_part_of_an_answer_is_not_right() -> None:
    asked = (("what?", "a pier"),)

    report = evaluate_vqa(Answers({"what?": "a pier and a boat"}), [VqaItem(Path("x"), asked)])

    assert report.all_kinds == Share(0, 1)


def test_classes_are_counted_one_by_one() -> None:
    items = [
        ClassItem(Path("x"), "port"),
        ClassItem(Path("y"), "farm"),
        ClassItem(Path("z"), "port"),
    ]

    report = evaluate_classes(Answers({}), items, ["port", "farm"])

    assert report.all_classes == Share(2, 3)
    assert report.to_json()["by_class"] == {"farm": 0.0, "port": 1.0}
