from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.results import DetectResult, TaskResult, TextResult
from skyeye_edge.core.tasks import Detect, Identify, Task
from skyeye_edge.evaluation import (
    ObjectItem,
    Picture,
    Share,
    evaluate_detect,
    evaluate_identify,
)
from skyeye_edge.evaluation.objects import count_hits

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (6.0, 0.0, 16.0, 10.0), (50.0, 50.0, 60.0, 60.0)


class Cars:
    """Calls everything a car, and finds cars at A and far away."""

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        return [self.answer(task) for task in tasks]

    def answer(self, task: Task) -> TaskResult:
        match task:
            case Identify():
                return TextResult("identify", "text", "Car")
            case Detect(name="car"):
                return DetectResult("car", "found", (Box(A), Box(FAR)))
            case Detect(name=name):
                return DetectResult(name, "absent", ())
            case _:
                raise AssertionError(task)


ITEM = ObjectItem(Path("x"), (100, 100), ((A, "car"), (B, "car"), (FAR, "bus")))


def test_a_label_is_right_whatever_its_case() -> None:
    report = evaluate_identify(Cars(), [ITEM])

    assert report.all_sizes == Share(2, 3)
    assert report.by_size["medium"] == Share(2, 3)


def test_precision_is_of_the_boxes_and_recall_of_the_objects() -> None:
    report = evaluate_detect(Cars(), [ITEM])

    assert (report.precision, report.recall) == (Share(1, 2), Share(1, 3))


@pytest.mark.parametrize(
    ("boxes", "truth", "hits"),
    [
        pytest.param([A, A], [A], 1, id="an object is found once"),
        pytest.param([A], [A, A], 1, id="a box finds one object"),
        pytest.param([B, A], [A, B], 2, id="the best pairs are joined first"),
        pytest.param([B], [A], 0, id="too little overlap"),
        pytest.param([], [A], 0, id="nothing given"),
    ],
)
def test_boxes_and_objects_are_paired(boxes: list[XYXY], truth: list[XYXY], hits: int) -> None:
    assert count_hits(boxes, truth) == hits
