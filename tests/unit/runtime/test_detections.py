"""Boxes as supervision's detections, checked with supervision itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import MissingExtraError
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult
from skyeye_edge.runtime.detections import to_detections

LEFT, RIGHT = Box((1, 2, 30, 40), 0.25), Box((50, 2, 80, 40), 0.75)
CARS = DetectResult("car", "found", (LEFT, RIGHT))
ABSENT = GroundResult("a boat", "absent", ())
DESCRIBED = TextResult("describe", "text", "", phrases=(("a quay", (RIGHT,)), ("car", (LEFT,))))


@pytest.fixture(autouse=True)
def needs_supervision() -> None:
    pytest.importorskip("supervision", reason="pip install 'skyeye-edge[supervision]'")


def test_every_box_has_its_place_score_class_and_name() -> None:
    found = to_detections([ABSENT, CARS, DESCRIBED])

    assert found.xyxy.tolist() == [list(box.xyxy) for box in (LEFT, RIGHT, RIGHT, LEFT)]
    assert found.confidence is not None
    assert found.class_id is not None
    assert found.confidence.tolist() == [0.25, 0.75, 0.75, 0.25]
    assert found.class_id.tolist() == [1, 1, 2, 1]  # a boat is class 0, though it is not there
    assert list(found.data["class_name"]) == ["car", "car", "a quay", "car"]


def test_one_result_is_taken_as_it_is() -> None:
    assert len(to_detections(CARS)) == 2


def test_answers_without_boxes_are_empty_detections() -> None:
    found = to_detections([ABSENT, ClassifyResult("port", "text")])

    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)


def test_supervision_works_with_what_it_gets() -> None:
    from supervision import Detections

    both = Detections.merge([to_detections(CARS), to_detections(DESCRIBED)])

    assert len(both.with_nms(0.5, class_agnostic=True)) == 2
    assert sum(name == "a quay" for name in both.data["class_name"]) == 1
    assert np.allclose(both.area, [29 * 38, 30 * 38, 30 * 38, 29 * 38])


def test_without_supervision_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'skyeye-edge\[supervision\]'"):
        to_detections(CARS)
