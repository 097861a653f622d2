from __future__ import annotations

import pytest

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.evaluation.objects import count_hits

A, B = (0.0, 0.0, 10.0, 10.0), (6.0, 0.0, 16.0, 10.0)


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
