"""From answers to tables of figures, one module per kind of answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from skyeye_edge.evaluation.answered import TASK_NAMES, Answered, TaskName
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.figures import Table
from skyeye_edge.evaluation.scoring.captions import caption_scores, score_captions
from skyeye_edge.evaluation.scoring.detection import score_detect
from skyeye_edge.evaluation.scoring.grounding import overlap_of, score_absent, score_ground
from skyeye_edge.evaluation.scoring.words import (
    is_right,
    score_ask,
    score_classify,
    score_identify,
)

_SCORERS: Mapping[TaskName, Callable[[Sequence[Answered], Drawing], list[Table]]] = {
    "caption": score_captions,
    "ground": score_ground,
    "absent": score_absent,
    "detect": score_detect,
    "ask": score_ask,
    "classify": score_classify,
    "identify": score_identify,
}


def score_answers(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """The tables of all tasks that were asked."""
    tables = []
    for task in TASK_NAMES:
        own = [answer for answer in answers if answer.task == task]
        tables += _SCORERS[task](own, drawing) if own else []
    return tables


def sample_scores(answers: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """What each answer scored alone, by key: x 100 for captions, overlap 0..1, or right (1) or not.

    Detection has none: what a box is worth hangs on all others.
    """
    captions = [answer for answer in answers if answer.task == "caption"]
    scores = caption_scores(captions) if captions else {}
    for answer in answers:
        match answer.task:
            case "ground":
                scores[answer.key] = {"IoU": overlap_of(answer)}
            case "absent":
                scores[answer.key] = {"right": float(answer.outcome == "absent")}
            case "ask" | "classify" | "identify":
                scores[answer.key] = {"right": float(is_right(answer))}
    return scores
