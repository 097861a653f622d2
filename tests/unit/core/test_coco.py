"""Boxes as COCO's tools read them."""

from __future__ import annotations

from typing import Any

import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.coco import to_coco
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult

CARS = DetectResult("car", "found", (Box((1, 2, 4, 8), 0.5), Box((0, 0, 1, 1), 0.25)))
ROWS = [
    {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 6], "score": 0.5},
    {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 0.25},
]


@pytest.mark.parametrize(
    "categories",
    [
        pytest.param({"boat": 1, "car": 3}, id="ids by name"),
        pytest.param([{"id": 3, "name": "car"}, {"id": 1, "name": "boat"}], id="entries of COCO"),
        pytest.param(["boat", "plane", "car"], id="names, numbered from 1"),
    ],
)
def test_each_box_is_a_row(categories: Any) -> None:
    assert to_coco([(7, CARS)], categories) == ROWS


def test_groundings_and_phrases_count_under_their_words() -> None:
    ground = GroundResult("a boat", "found", (Box((0, 0, 2, 2)),))
    described = TextResult("describe", "text", "", phrases=(("a boat", (Box((1, 1, 2, 2)),)),))

    rows = to_coco([(1, ground), (2, described)], {"a boat": 9})

    assert [(row["image_id"], row["category_id"]) for row in rows] == [(1, 9), (2, 9)]


def test_answers_without_boxes_add_nothing() -> None:
    absent = GroundResult("a submarine", "absent", ())

    assert to_coco([(1, absent), (2, ClassifyResult("port", "text"))], {"car": 1}) == []


def test_a_box_of_an_unknown_name_is_an_error_that_tells_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'car' is not among the categories \['boat'\]"):
        to_coco([(7, CARS)], {"boat": 1})


def test_a_turned_box_has_its_outline_and_the_upright_box_around_it() -> None:
    result = GroundResult("a boat", "found", (Box((10, 10, 30, 20), 0.5, angle=90),))

    (row,) = to_coco([(1, result)], ["a boat"])

    assert row["bbox"] == pytest.approx([15, 5, 10, 20])
    assert row["segmentation"] == [pytest.approx([25, 5, 25, 25, 15, 25, 15, 5])]
