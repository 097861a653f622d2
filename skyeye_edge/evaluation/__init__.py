"""Scores of anything that answers tasks about images: captions, boxes, questions, classes."""

from skyeye_edge.evaluation.answered import (
    TASK_NAMES,
    Answered,
    AnswerFile,
    TaskName,
    read_answers,
)
from skyeye_edge.evaluation.asking import Sample, ask_all, evenly
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.calibration import (
    CalibrationReport,
    Judged,
    fit_scores,
    judge_boxes,
    measure_calibration,
)
from skyeye_edge.evaluation.grounding import GroundItem, ground_samples
from skyeye_edge.evaluation.overview import (
    OVERVIEW_KINDS,
    CheckedAnswer,
    KnownImage,
    Mean,
    OverviewKind,
    check_answers,
    mean_scores,
)
from skyeye_edge.evaluation.predictor import ClipPredictor, Picture, Pictures, Predictor
from skyeye_edge.evaluation.recording import record_answers
from skyeye_edge.evaluation.reliability import (
    expected_calibration_error,
    plot_reliability,
    reliability,
)
from skyeye_edge.evaluation.report import Evaluation, evaluate_answers, write_report
from skyeye_edge.evaluation.rouge import plain_words, rouge_l
from skyeye_edge.evaluation.scoring import score_answers
from skyeye_edge.evaluation.scoring.grounding import scored_boxes
from skyeye_edge.evaluation.scoring.words import plain_kind
from skyeye_edge.evaluation.shares import Share
from skyeye_edge.evaluation.words import caption_words

__all__ = [
    "OVERVIEW_KINDS",
    "TASK_NAMES",
    "AnswerFile",
    "Answered",
    "CalibrationReport",
    "CheckedAnswer",
    "ClipPredictor",
    "Drawing",
    "Evaluation",
    "GroundItem",
    "Judged",
    "KnownImage",
    "Mean",
    "OverviewKind",
    "Picture",
    "Pictures",
    "Predictor",
    "Sample",
    "Share",
    "TaskName",
    "ask_all",
    "caption_words",
    "check_answers",
    "evaluate_answers",
    "evenly",
    "expected_calibration_error",
    "fit_scores",
    "ground_samples",
    "judge_boxes",
    "mean_scores",
    "measure_calibration",
    "plain_kind",
    "plain_words",
    "plot_reliability",
    "read_answers",
    "record_answers",
    "reliability",
    "rouge_l",
    "score_answers",
    "scored_boxes",
    "write_report",
]
