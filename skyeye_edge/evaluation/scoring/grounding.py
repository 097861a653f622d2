"""Phrases: how many boxes sit where they should, by two conventions and by size of the object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing, Numbers, bootstrap
from skyeye_edge.evaluation.figures import Figure, Interval, Table
from skyeye_edge.evaluation.grounding import ENOUGH, SIZES, size_name
from skyeye_edge.evaluation.reliability import Scored
from skyeye_edge.evaluation.shares import Share

_THRESHOLDS = (0.5, 0.7)
_BEGINS_WITH_BOX = re.compile(r"\{<\d+><\d+><\d+><\d+>\}")


def score_ground(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """Acc@0.5, Acc@0.7, mean and cumulative overlap; what was not answered counts as wrong.

    Args:
        answers: of the task "ground", at least one.
        drawing: how intervals are made.
    """
    plain = np.asarray([_parts(answer, 0.0) for answer in answers])
    figures = _figures("", answers, plain, drawing)
    for name in SIZES:
        own = [place for place, answer in enumerate(answers) if _size_of(answer) == name]
        if own:
            some = [answers[place] for place in own]
            figures += _figures(f"{name} objects: ", some, plain[own], drawing)[:1]
    unread = sum(answer.size is None for answer in answers)
    sizes = "small < 1/16 <= medium < 1/8 <= large: square root of the box's area, as a share of "
    sizes += "the image's longer side"
    note = f"overlap is intersection over union, right from the threshold on; {sizes}"
    if unread:
        note += f"; {unread} phrases about images of unknown size have no class of size"
    return [
        Table("ground", "boxes", tuple(figures), note),
        Table(
            "ground",
            "MiniGPT-v2's convention",
            tuple(_minigpt(answers, drawing)),
            "the answer has to begin with a box, one pixel is added to widths and heights, and the "
            "overlap has to be above 0.5 (eval_ref.py)",
        ),
    ]


def overlap_of(answer: Answered) -> float:
    """Intersection over union of the first box and the right one, 0..1."""
    both, union = _parts(answer, 0.0)[3:]
    return both / union if union > 0 else 0.0


def scored_boxes(answers: Iterable[Answered]) -> list[Scored]:
    """The score of the first box of every answer to a phrase, and whether the box is right."""
    return [
        (answer.scores[0], answer.task == "ground" and overlap_of(answer) >= ENOUGH)
        for answer in answers
        if answer.task in ("ground", "absent") and answer.scores
    ]


def score_absent(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """How many phrases that mean nothing in the image were called absent."""
    right = [[float(answer.outcome == "absent"), 1.0] for answer in answers]
    figure = shares("called absent", answers, right, drawing)
    note = "phrases that mean nothing in the image; a box, or no readable answer, is wrong"
    return [Table("absent", "absent phrases", (figure,), note)]


def shares(
    name: str, answers: Sequence[Answered], parts: npt.ArrayLike, drawing: Drawing
) -> Figure:
    """A share of hits: `parts` is (n, 2), hits and how many were possible."""
    rows = np.asarray(parts, dtype=np.float64).reshape(-1, 2)
    (interval,) = bootstrap([answer.image for answer in answers], rows, share_of, drawing)
    interval = _uncertain(interval, *rows.sum(axis=0))
    return Figure(name, float(share_of(rows.sum(axis=0))[0]), len(rows), interval)


def _uncertain(interval: Interval | None, hits: float, number: float) -> Interval | None:
    """Where all or none are right every drawing is alike, and Wilson's interval says more."""
    if interval is None or hits not in (0, number):
        return interval
    low, high = Share(int(hits), int(number)).interval
    return 100 * low, 100 * high


def share_of(sums: Numbers) -> Numbers:
    """Hits among all (..., 2), x 100; NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100 * sums[..., :1] / sums[..., 1:])


def _figures(
    prefix: str, answers: Sequence[Answered], parts: Numbers, drawing: Drawing
) -> list[Figure]:
    images = [answer.image for answer in answers]
    rows = np.column_stack([np.ones(len(parts)), parts])
    names = [f"Acc@{threshold}" for threshold in _THRESHOLDS] + ["mean IoU", "cumulative IoU"]
    sums = rows.sum(axis=0)
    values = _of_sums(sums)
    intervals = list(bootstrap(images, rows, _of_sums, drawing))
    for place in range(len(_THRESHOLDS)):
        intervals[place] = _uncertain(intervals[place], sums[1 + place], sums[0])
    return [
        Figure(prefix + name, float(value), len(parts), interval)
        for name, value, interval in zip(names, values, intervals, strict=True)
    ]


def _of_sums(sums: Numbers) -> Numbers:
    """From sums of (1, right at 0.5, at 0.7, overlap, both, union)."""
    number, union = sums[..., :1], sums[..., 5:]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[..., 1:4] / number
        whole = sums[..., 4:5] / union
    return np.asarray(100 * np.concatenate([means, whole], axis=-1))


def _parts(answer: Answered, pixel: float) -> tuple[float, ...]:
    """(right at 0.5, at 0.7, overlap, both, union) of the first box; areas in pixels."""
    truth = answer.truth[0]
    box = answer.boxes[0] if answer.boxes else None
    both, union = areas(box, truth, pixel)
    value = both / union if union > 0 else 0.0
    return (*(float(value >= bar) for bar in _THRESHOLDS), value, both, union)


def areas(box: XYXY | None, truth: XYXY, pixel: float = 0.0) -> tuple[float, float]:
    """Intersection and union of two boxes; without the first, the union is the second's area.

    Args:
        box: what was said.
        truth: what is right.
        pixel: added to widths and heights.
    """
    own = _area(truth, pixel)
    if box is None:
        return 0.0, own
    width = min(box[2], truth[2]) - max(box[0], truth[0]) + pixel
    height = min(box[3], truth[3]) - max(box[1], truth[1]) + pixel
    both = max(0.0, width) * max(0.0, height)
    return both, own + _area(box, pixel) - both


def _area(box: XYXY, pixel: float) -> float:
    return (box[2] - box[0] + pixel) * (box[3] - box[1] + pixel)


def _minigpt(answers: Sequence[Answered], drawing: Drawing) -> list[Figure]:
    right = []
    for answer in answers:
        begins = not answer.said or _BEGINS_WITH_BOX.match("".join(answer.said.split()))
        box = answer.boxes[0] if answer.boxes and begins else None
        both, union = areas(box, answer.truth[0], 1.0)
        right.append([float(union > 0 and both / union > _THRESHOLDS[0]), 1.0])
    return [shares("Acc@0.5", answers, right, drawing)]


def _size_of(answer: Answered) -> str:
    return size_name(answer.truth[0], answer.size) if answer.size else ""
