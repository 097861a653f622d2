from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.results import GroundResult, TaskResult
from skyeye_edge.core.tasks import Ground, Task
from skyeye_edge.evaluation import GroundItem, Picture, Share, evaluate_ground
from skyeye_edge.evaluation.grounding import size_name

SIZE = (160, 80)


class Answers:
    """Answers phrases from a list: a box, or "absent", or "unreadable"."""

    def __init__(self, known: dict[str, XYXY | str]) -> None:
        self.known = known

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        return [self.answer(task.phrase) for task in tasks if isinstance(task, Ground)]

    def answer(self, phrase: str) -> GroundResult:
        match self.known[phrase]:
            case "absent":
                return GroundResult(phrase, "absent", ())
            case str():
                return GroundResult(phrase, "unreadable", ())
            case box:
                return GroundResult(phrase, "found", (Box(box),))


@pytest.mark.parametrize(
    ("box", "name"),
    [
        pytest.param((0, 0, 9, 9), "small", id="just below a sixteenth"),
        pytest.param((0, 0, 10, 10), "medium", id="a sixteenth"),
        pytest.param((0, 0, 40, 10), "large", id="an eighth, by area"),
    ],
)
def test_size_is_the_root_of_the_area_against_the_longer_side(box: XYXY, name: str) -> None:
    assert size_name(box, SIZE) == name


def test_a_box_counts_from_half_overlap_on() -> None:
    known: dict[str, XYXY | str] = {"half": (0, 0, 20, 10), "less": (0, 0, 20, 9.9)}
    item = GroundItem(Path("x"), SIZE, (("half", (0, 0, 20, 20)), ("less", (0, 0, 20, 20))))

    report = evaluate_ground(Answers(known), [item])

    assert report.all_sizes == Share(1, 2)
    assert report.by_size["large"] == Share(1, 2)
    assert report.mean_overlap == pytest.approx((0.5 + 0.495) / 2)


def test_absent_and_unreadable_are_kept_apart() -> None:
    known: dict[str, XYXY | str] = {
        "there": "absent",
        "seen": (0, 0, 8, 8),
        "gone": "absent",
        "ghost": (0, 0, 8, 8),
        "noise": "unreadable",
    }
    item = GroundItem(
        Path("x"),
        SIZE,
        (("there", (0, 0, 8, 8)), ("seen", (0, 0, 8, 8))),
        ("gone", "ghost", "noise"),
    )

    report = evaluate_ground(Answers(known), [item])

    assert report.present_called_absent == Share(1, 2)
    assert report.absent_called_absent == Share(1, 3)
    assert report.unreadable == 1
    assert report.by_size["small"] == Share(1, 2)


def test_a_report_is_plain_values() -> None:
    report = evaluate_ground(
        Answers({"a": (0, 0, 8, 8)}), [GroundItem(Path("x"), SIZE, (), ("a",))]
    )

    values = report.to_json()

    assert values["absent_called_absent"] == {"rate": 0.0, "n": 1, "interval": [0.0, 0.7935]}
