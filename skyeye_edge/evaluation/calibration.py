"""How far scores of boxes can be believed, and what makes them believable.

A score of 0.7 should belong to boxes of which 70 % are right. `fit_scores` makes the table that
turns raw scores into such ones, and the operating point from which an answer is a box, not absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import GroundResult
from skyeye_edge.core.scores import ScoreSpec, Table
from skyeye_edge.core.tasks import Ground, Task
from skyeye_edge.evaluation.grounding import ENOUGH, GroundItem, overlap
from skyeye_edge.evaluation.predictor import Picture
from skyeye_edge.evaluation.reliability import Scored, expected_calibration_error
from skyeye_edge.evaluation.shares import Share, share

FEWEST = 20  # boxes behind a point of a table: fewer tell a share to no better than a quarter
FOLDS = 5


class Asker(Protocol):
    """A bundle in the runtime, or a checkpoint in PyTorch."""

    def replies(self, image: Picture, tasks: Sequence[Task], /) -> Sequence[Reply]:
        """One reply per task, in order."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer to a phrase, where the model always gave a box."""

    image: int  # index of the image: what is learnt from one is not tested on it
    present: bool  # whether the phrase means something in the image
    presence: float  # what the model gives for that
    raw: float  # uncalibrated score of the box
    right: bool  # whether the box overlaps the right one by half


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What a calibration is worth, on images that it was not fitted on."""

    images: int
    phrases: int  # present and absent ones
    boxes: int  # of them answered with a box
    right: int  # boxes that overlap the right one by half
    ece_before: float  # expected calibration error of raw scores
    ece: float  # and of calibrated ones, cross-validated by image
    present_found: Share  # of present phrases, at the operating point (cross-validated too)
    absent_called_absent: Share

    def to_json(self) -> dict[str, Any]:
        """Plain values, errors to four digits."""
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return rounded | {
            "present_found": self.present_found.to_json(),
            "absent_called_absent": self.absent_called_absent.to_json(),
        }


def judge_boxes(asker: Asker, items: Iterable[GroundItem], boxes: BoxSpec) -> list[Judged]:
    """Ask for every phrase of every image.

    Args:
        asker: a model whose operating point is 0, so that it gives a box for every phrase.
        items: present and absent phrases.
        boxes: how it writes boxes.
    """
    judged = []
    for number, item in enumerate(items):
        phrases: list[tuple[str, Any]] = [*item.present, *((words, None) for words in item.absent)]
        tasks = [Ground(words) for words, _ in phrases]
        replies = asker.replies(item.image, tasks) if tasks else ()
        for (_, box), task, reply in zip(phrases, tasks, replies, strict=True):
            result = parse_reply(task, reply, item.size, boxes)
            if not isinstance(result, GroundResult) or not result.boxes:
                continue  # cut off or unreadable: no score to learn from
            right = box is not None and overlap(result.boxes[0].hull, box) >= ENOUGH
            presence = 1.0 if reply.presence is None else reply.presence
            raw = result.boxes[0].score
            judged.append(Judged(number, box is not None, presence, raw, right))
    return judged


def fit_scores(judged: Sequence[Judged]) -> ScoreSpec:
    """The operating point and the table for what was judged.

    Raises:
        InputError: there are too few boxes to say anything.
    """
    found_from = fit_operating_point(judged)
    return ScoreSpec(calibration=fit_table(_scored(judged, found_from)), found_from=found_from)


def fit_operating_point(judged: Sequence[Judged]) -> float | None:
    """The presence from which a box should be answered; None if that cannot be told.

    It is where (present phrases found + absent ones called absent, both as shares) is largest,
    Youden's J, so that it does not hang on how many absent phrases were asked; to four digits.
    """
    present = np.sort([each.presence for each in judged if each.present])
    absent = np.sort([each.presence for each in judged if not each.present])
    if not len(present) or not len(absent) or present[0] == present[-1] == absent[0] == absent[-1]:
        return None
    seen = np.unique(np.concatenate([present, absent]))
    bars = np.concatenate([[0.0], (seen[1:] + seen[:-1]) / 2])
    found = 1 - np.searchsorted(present, bars) / len(present)
    called_absent = np.searchsorted(absent, bars) / len(absent)
    return min(0.9999, round(float(bars[np.argmax(found + called_absent)]), 4))


def fit_table(scored: Sequence[Scored], fewest: int = FEWEST) -> Table:
    """Raw scores and shares of right boxes, rising: isotonic regression over groups of boxes.

    Neighbouring groups whose shares fall are joined (pool adjacent violators); a point is the mean
    of a group.

    Raises:
        InputError: there are not boxes enough for two points.
    """
    if len(scored) < 2 * fewest:
        raise InputError(
            f"{len(scored)} boxes are too few to calibrate scores, which needs {2 * fewest}; "
            "give more labelled images"
        )
    ordered = sorted(scored)
    groups: list[tuple[float, float, int]] = []  # sum of raw scores, right boxes, boxes
    for part in np.array_split(np.array(ordered, dtype=np.float64), len(ordered) // fewest):
        groups.append((float(part[:, 0].sum()), float(part[:, 1].sum()), len(part)))
        while len(groups) > 1 and not _rises(groups[-2], groups[-1]):
            last, before = groups.pop(), groups.pop()
            groups.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return tuple(_point(group) for group in groups)


def _point(group: tuple[float, float, int]) -> tuple[float, float]:
    raw, right, number = group
    return float(f"{raw / number:.6g}"), round(right / number, 4)


def _rises(before: tuple[float, float, int], after: tuple[float, float, int]) -> bool:
    """Strictly, as written."""
    return all(a < b for a, b in zip(_point(before), _point(after), strict=True))


def measure_calibration(judged: Sequence[Judged]) -> CalibrationReport:
    """What a fit on these answers is worth: fitted on four fifths of the images, tested on a fifth.

    Raises:
        InputError: there are too few boxes.
    """
    tested: list[Scored] = []
    present: list[bool] = []
    absent: list[bool] = []
    for fold in range(FOLDS):
        fitted = fit_scores([each for each in judged if each.image % FOLDS != fold])
        rest = [each for each in judged if each.image % FOLDS == fold]
        bar = fitted.found_from or 0.0
        tested += [(fitted.calibrated(raw), right) for raw, right in _scored(rest, bar)]
        present += [each.presence >= bar for each in rest if each.present]
        absent += [each.presence < bar for each in rest if not each.present]
    raw = _scored(judged, fit_operating_point(judged))
    return CalibrationReport(
        images=len({each.image for each in judged}),
        phrases=len(judged),
        boxes=len(raw),
        right=sum(right for _, right in raw),
        ece_before=expected_calibration_error(raw),
        ece=expected_calibration_error(tested),
        present_found=share(present),
        absent_called_absent=share(absent),
    )


def _scored(judged: Iterable[Judged], found_from: float | None) -> list[Scored]:
    return [(each.raw, each.right) for each in judged if each.presence >= (found_from or 0.0)]
