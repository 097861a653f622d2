"""Scores are fitted so that they say how often boxes are right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation import GroundItem, Judged, fit_scores, judge_boxes, measure_calibration
from skyeye_edge.evaluation.calibration import fit_operating_point, fit_table
from skyeye_edge.evaluation.reliability import expected_calibration_error


def seen(number: int, seed: int = 0) -> list[tuple[float, bool]]:
    """Boxes that are right with the square root of their raw score."""
    chance = random.Random(seed)
    raws = [chance.random() for _ in range(number)]
    return [(raw, chance.random() < raw**0.5) for raw in raws]


def judged(presences: Sequence[float], *, present: bool) -> list[Judged]:
    return [Judged(n, present, presence, 0.5, present) for n, presence in enumerate(presences)]


def test_a_table_says_how_often_boxes_are_right() -> None:
    table = ScoreSpec(calibration=fit_table(seen(4000)))

    found = [table.calibrated(raw) for raw in (0.1, 0.25, 0.5, 0.75)]

    assert found == pytest.approx([0.1**0.5, 0.5, 0.5**0.5, 0.75**0.5], abs=0.1)


def test_calibrated_scores_err_less_on_boxes_that_were_not_fitted() -> None:
    table = ScoreSpec(calibration=fit_table(seen(2000)))
    others = seen(2000, seed=1)

    before = expected_calibration_error(others)
    after = expected_calibration_error([(table.calibrated(raw), right) for raw, right in others])

    assert before > 0.1
    assert after < 0.05


@settings(max_examples=50, deadline=None)
@given(
    scored=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=40, max_size=400),
    fewest=st.integers(1, 20),
)
def test_every_table_rises(scored: list[tuple[float, bool]], fewest: int) -> None:
    table = fit_table(scored, fewest)

    assert ScoreSpec(calibration=table).calibration == table
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(table))


def test_too_few_boxes_are_said_to_be_too_few() -> None:
    with pytest.raises(InputError, match=r"39 boxes are too few .* 40"):
        fit_table(seen(39))


def test_the_operating_point_parts_what_is_there_from_what_is_not() -> None:
    there, not_there = [0.2, 0.7, 0.8, 0.9], [0.1, 0.3, 0.4]

    point = fit_operating_point(judged(there, present=True) + judged(not_there, present=False))

    assert point == pytest.approx(0.55)


def test_the_operating_point_does_not_hang_on_how_much_was_asked() -> None:
    there, not_there = judged([0.2, 0.7, 0.8], present=True), judged([0.1, 0.3], present=False)

    assert fit_operating_point(there + not_there) == fit_operating_point(there + not_there * 9)


@pytest.mark.parametrize("present", [True, False])
def test_without_both_kinds_of_phrases_there_is_no_operating_point(present: bool) -> None:
    assert fit_operating_point(judged([0.2, 0.8], present=present)) is None


def test_a_model_that_never_says_absent_gets_no_operating_point() -> None:
    both = judged([1.0, 1.0], present=True) + judged([1.0], present=False)

    assert fit_operating_point(both) is None


def answers(number: int) -> list[Judged]:
    chance = random.Random(number)
    found = []
    for image in range(number):
        present = chance.random() < 0.6
        presence = min(0.99, max(0.0, chance.gauss(0.7 if present else 0.3, 0.2)))
        raw = presence * chance.random()
        found.append(Judged(image, present, presence, raw, present and chance.random() < raw))
    return found


def test_a_calibration_is_measured_on_images_that_were_left_out() -> None:
    report = measure_calibration(answers(1500))

    assert (report.images, report.phrases) == (1500, 1500)
    assert report.present_found.number + report.absent_called_absent.number == 1500
    assert report.ece < 0.1
    assert report.present_found.rate > 0.7
    assert report.absent_called_absent.rate > 0.7
    assert set(report.to_json()) >= {"ece", "ece_before", "present_found", "absent_called_absent"}


def test_boxes_below_the_operating_point_are_not_fitted() -> None:
    low = [Judged(n, False, 0.05, 0.9, False) for n in range(200)]

    assert fit_scores(answers(1000) + low).calibration[-1][0] < 0.9


class Parrot:
    """Answers every phrase with the same box, as sure as it was told to be."""

    def __init__(self, presence: float) -> None:
        self.presence = presence

    def replies(self, image: object, tasks: Sequence[Task], /) -> list[Reply]:
        text = b"{<10><10><50><50>}"
        return [Reply((1,), (text,), (0.5**4,), (True,), "end", None, (), self.presence)] * len(
            tasks
        )


def test_answers_are_held_against_the_right_boxes() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    present = (("the car", (10.0, 10.0, 50.0, 50.0)), ("the boat", (60.0, 60.0, 90.0, 90.0)))
    items = [
        GroundItem(image, (100, 100), present, ("the tower",)),
        GroundItem(image, (100, 100)),
        GroundItem(image, (100, 100), (), ("the pond",)),
    ]

    found = judge_boxes(Parrot(0.5), items, BoxSpec())

    assert [(each.image, each.present, each.right) for each in found] == [
        (0, True, True), (0, True, False), (0, False, False), (2, False, False),
    ]  # fmt: skip
    assert {(each.presence, each.raw) for each in found} == {(0.5, 0.25)}
