"""Scores are compared with how often boxes are right."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from skyeye_edge.evaluation import expected_calibration_error, plot_reliability, reliability


@pytest.mark.parametrize(
    ("scored", "error"),
    [
        pytest.param([(1.0, True)] * 3 + [(0.0, False)], 0.0, id="sure and right"),
        pytest.param([(0.5, True), (0.5, False)], 0.0, id="half sure, half right"),
        pytest.param([(1.0, False)] * 2, 1.0, id="sure and wrong"),
        pytest.param([(0.9, True)] * 5 + [(0.3, False)] * 5, 0.2, id="two ranges"),
    ],
)
def test_the_calibration_error_is_the_mean_distance_of_score_and_truth(
    scored: list[tuple[float, bool]], error: float
) -> None:
    assert expected_calibration_error(scored) == pytest.approx(error)


def test_without_a_box_there_is_no_calibration_error() -> None:
    assert math.isnan(expected_calibration_error([]))


def test_each_range_of_scores_says_how_many_are_right() -> None:
    rows = reliability([(0.0, False), (0.52, True), (0.58, False), (1.0, True)])

    assert rows == [(0.0, 0.0, 1), (pytest.approx(0.55), 0.5, 2), (1.0, 1.0, 1)]


def test_the_diagram_is_a_picture(tmp_path: Path) -> None:
    plot_reliability({"real": [(0.2, False), (0.9, True)], "none": []}, tmp_path / "r.png")

    with Image.open(tmp_path / "r.png") as picture:
        assert min(picture.size) >= 300
