from __future__ import annotations

from pathlib import Path

import pytest

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.tasks import Ground
from skyeye_edge.evaluation import GroundItem, ground_samples
from skyeye_edge.evaluation.grounding import overlap, size_name

SIZE = (160, 80)


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


def test_half_of_a_box_overlaps_by_half() -> None:
    assert overlap((0, 0, 20, 10), (0, 0, 20, 20)) == 0.5


def test_present_and_absent_phrases_become_questions() -> None:
    item = GroundItem(Path("x"), SIZE, (("the boat", (0, 0, 8, 8)),), ("a plane",))

    found = ground_samples([item])

    assert [each.task for each in found] == [Ground("the boat"), Ground("a plane")]
    assert [each.unanswered.task for each in found] == ["ground", "absent"]
    assert [each.unanswered.truth for each in found] == [((0, 0, 8, 8),), ()]
