"""Detection: mean average precision by pycocotools, precision and recall, with intervals."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import needs
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import (
    Drawing,
    Numbers,
    bootstrap,
    draw_images,
    image_numbers,
    percentiles,
)
from skyeye_edge.evaluation.figures import Figure, Interval, Table
from skyeye_edge.evaluation.objects import count_hits

_RECALLS = np.linspace(0.0, 1.0, 101)  # at which COCO reads the precision
_ALL_SIZES, _MOST = "all", 1000  # boxes of a label in an image: scenes from above are crowded
_HALF = 0  # place of IoU 0.5 among COCO's ten thresholds


def score_detect(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """COCO's mAP over the labels, AP at 0.5, and precision and recall of boxes at 0.5.

    Args:
        answers: of the task "detect", at least one: all boxes of a label in an image.
        drawing: how intervals are made.
    """
    number = len(answers)
    labels = [_matches(answers, label) for label in sorted({each.asked for each in answers})]
    points = np.asarray([_precisions(label) for label in labels]).mean(axis=0)
    intervals = _intervals(labels, answers, drawing)
    figures = [
        Figure("mAP", 100 * float(points.mean()), number, intervals[0]),
        Figure("AP@0.5", 100 * float(points[_HALF]), number, intervals[1]),
    ]
    figures += _precision_and_recall(answers, drawing)
    note = (
        f"mAP: mean over IoU 0.5 to 0.95 and {len(labels)} labels (pycocotools, up to {_MOST} "
        "boxes); a label is asked of the images that have it, so false alarms in others are not "
        "counted; precision and recall: each box on an object of its own, IoU at least 0.5"
    )
    return [Table("detect", "detection", tuple(figures), note)]


def _precision_and_recall(answers: Sequence[Answered], drawing: Drawing) -> list[Figure]:
    rows = [
        [count_hits(each.boxes, each.truth), len(each.boxes), len(each.truth)] for each in answers
    ]
    parts = np.asarray(rows, dtype=np.float64)

    def rates(sums: Numbers) -> Numbers:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(100 * sums[..., :1] / sums[..., 1:])

    values = rates(parts.sum(axis=0))
    drawn = bootstrap([each.image for each in answers], parts, rates, drawing)
    return [
        Figure("precision@0.5", float(values[0]), int(parts[:, 1].sum()), drawn[0]),
        Figure("recall@0.5", float(values[1]), int(parts[:, 2].sum()), drawn[1]),
    ]


class _Label:
    """The boxes of one label by falling score, and which of them pycocotools calls right."""

    def __init__(self, images: Any, right: Any, image_of_truth: Any) -> None:
        self.images = images  # (D,) number of the image of each box
        self.right = right  # (10, D) bool
        self.truths = image_of_truth  # (G,) number of the image of each object


def _matches(answers: Sequence[Answered], label: str) -> _Label:
    with needs("evaluation"):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    numbers = image_numbers([answer.image for answer in answers])
    own = [(int(numbers[i]), each) for i, each in enumerate(answers) if each.asked == label]
    truths = [(image, box) for image, each in own for box in each.truth]
    found = [
        (image, box, score)
        for image, each in own
        for box, score in zip(each.boxes, each.scores or (1.0,) * len(each.boxes), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": image} for image in sorted({image for image, _ in own})],
            "categories": [{"id": 1, "name": label}],
            "annotations": [
                {"id": n, "image_id": image, "category_id": 1, "iscrowd": 0, **_box(box)}
                for n, (image, box) in enumerate(truths, start=1)
            ],
        }
        known.createIndex()
        said = COCO()
        said.dataset = {
            **known.dataset,
            "annotations": [
                {"id": n, "image_id": image, "category_id": 1, "score": score, **_box(box)}
                for n, (image, box, score) in enumerate(found, start=1)
            ],
        }
        said.createIndex()
        evaluation = COCOeval(known, said, "bbox")
        evaluation.params.maxDets = [_MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], [_ALL_SIZES]
        evaluation.evaluate()
    rows = [each for each in evaluation.evalImgs if each is not None]
    scores = np.concatenate([each["dtScores"] for each in rows] or [[]])
    order = np.argsort(-scores, kind="mergesort")  # as pycocotools accumulates
    right = np.concatenate([each["dtMatches"] > 0 for each in rows], axis=1)[:, order]
    images = np.concatenate([[each["image_id"]] * len(each["dtScores"]) for each in rows])
    return _Label(
        images[order].astype(np.intp), right, np.asarray([image for image, _ in truths], np.intp)
    )


def _box(box: XYXY) -> dict[str, Any]:
    width, height = box[2] - box[0], box[3] - box[1]
    return {"bbox": [box[0], box[1], width, height], "area": width * height}


def _precisions(label: _Label, drawn: Numbers | None = None) -> Numbers:
    """Average precision at each of COCO's thresholds (10), as its accumulate() computes it.

    Args:
        label: matched boxes.
        drawn: how often each image counts; None: once.
    """
    weights = np.ones(len(label.images)) if drawn is None else drawn[label.images]
    objects = len(label.truths) if drawn is None else drawn[label.truths].sum()
    if not objects:
        return np.full(len(label.right), np.nan)
    hits = np.cumsum(label.right * weights, axis=1)
    misses = np.cumsum(~label.right * weights, axis=1)
    recall = hits / objects
    precision = hits / (hits + misses + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    means = []
    for own, line in zip(recall, precision, strict=True):
        places = np.searchsorted(own, _RECALLS, side="left")
        means.append(np.append(line, 0.0)[np.minimum(places, len(line))].mean())
    return np.asarray(means)


def _intervals(
    labels: Sequence[_Label], answers: Sequence[Answered], drawing: Drawing
) -> Sequence[Interval | None]:
    """Of mAP and AP@0.5."""
    if not drawing.draws:
        return [None, None]
    number = int(image_numbers([answer.image for answer in answers]).max()) + 1
    rows = []
    for some in draw_images(number, drawing):
        for drawn in some:
            points = np.asarray([_precisions(label, drawn) for label in labels])
            known = points[~np.isnan(points[:, 0])].mean(axis=0)  # labels that were drawn
            rows.append([100 * known.mean(), 100 * known[_HALF]])
    return percentiles(np.asarray(rows))
