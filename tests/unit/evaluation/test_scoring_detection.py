from __future__ import annotations

import contextlib
import io
import random
from typing import Any

import numpy as np
import pytest

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.scoring.detection import score_detect


def some_box(chance: random.Random) -> XYXY:
    x, y = chance.uniform(0, 200), chance.uniform(0, 200)
    return x, y, x + chance.uniform(10, 60), y + chance.uniform(10, 60)


def moved(box: XYXY, chance: random.Random) -> XYXY:
    x, y = chance.gauss(0, 3), chance.gauss(0, 3)
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


@pytest.fixture
def answers() -> list[Answered]:
    """Boxes of two labels in twelve images: most are found, some moved, some made up."""
    chance, found = random.Random(4), []
    for number in range(24):
        truth = tuple(some_box(chance) for _ in range(chance.randint(1, 5)))
        boxes = [moved(box, chance) for box in truth if chance.random() < 0.8]
        boxes += [some_box(chance) for _ in range(chance.randint(0, 2))]
        scores = tuple(round(chance.random(), 3) for _ in boxes)
        label, image = ("boat", "plane")[number % 2], f"{number // 2}.jpg"
        found.append(
            Answered(
                f"{image}#{label}",
                image,
                "detect",
                asked=label,
                truth=truth,
                outcome="found",
                boxes=tuple(boxes),
                scores=scores,
            )
        )
    return found


def pycocotools_figures(answers: list[Answered]) -> tuple[float, float]:
    """mAP and AP at 0.5 as pycocotools itself sums them up."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = sorted({answer.image for answer in answers})
    labels = sorted({answer.asked for answer in answers})

    def rows(name: str) -> list[dict[str, Any]]:
        return [
            {
                "image_id": images.index(answer.image),
                "category_id": labels.index(answer.asked),
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                "score": score,
            }
            for answer in answers
            for (x1, y1, x2, y2), score in zip(
                getattr(answer, name), answer.scores if name == "boxes" else [1] * 99, strict=False
            )
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": n} for n in range(len(images))],
            "categories": [{"id": n} for n in range(len(labels))],
            "annotations": [{"id": n, **row} for n, row in enumerate(rows("truth"), start=1)],
        }
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(rows("boxes")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def test_map_is_that_of_pycocotools(answers: list[Answered]) -> None:
    (table,) = score_detect(answers, Drawing(draws=0))

    found = {figure.name: figure.value for figure in table.figures}
    mean, half = pycocotools_figures(answers)
    assert 0.1 < mean < 0.9
    assert found["mAP"] == pytest.approx(100 * mean)
    assert found["AP@0.5"] == pytest.approx(100 * half)


def test_intervals_hold_their_figures(answers: list[Answered]) -> None:
    (table,) = score_detect(answers, Drawing(draws=100, seed=3))

    for figure in table.figures:
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]


def test_who_gives_no_box_has_no_precision_and_finds_nothing() -> None:
    answer = Answered("1", "1.jpg", "detect", asked="boat", truth=((0, 0, 9, 9),), outcome="absent")

    (table,) = score_detect([answer], Drawing(draws=10))

    found = {figure.name: figure.value for figure in table.figures}
    assert found == {"mAP": 0, "AP@0.5": 0, "precision@0.5": None, "recall@0.5": 0}
    assert np.isfinite(found["mAP"] or 0)
