"""Scores of anything that answers tasks about images: captions, boxes, questions, classes."""

from skyeye_edge.evaluation.answered import (
    TASK_NAMES,
    Answered,
    AnswerFile,
    TaskName,
    read_answers,
)
from skyeye_edge.evaluation.answers import (
    ClassItem,
    ClassReport,
    VqaItem,
    VqaReport,
    evaluate_classes,
    evaluate_vqa,
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
from skyeye_edge.evaluation.captions import (
    CaptionItem,
    CaptionReport,
    caption_all,
    evaluate_captions,
    plain_words,
    rouge_l,
    score_captions,
    with_references,
)
from skyeye_edge.evaluation.grounding import GroundItem, GroundReport, evaluate_ground
from skyeye_edge.evaluation.objects import (
    DetectReport,
    IdentifyReport,
    ObjectItem,
    evaluate_detect,
    evaluate_identify,
)
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
from skyeye_edge.evaluation.scoring import score_answers
from skyeye_edge.evaluation.scoring.words import plain_kind
from skyeye_edge.evaluation.shares import Share

__all__ = [
    "OVERVIEW_KINDS",
    "TASK_NAMES",
    "AnswerFile",
    "Answered",
    "CalibrationReport",
    "CaptionItem",
    "CaptionReport",
    "CheckedAnswer",
    "ClassItem",
    "ClassReport",
    "ClipPredictor",
    "DetectReport",
    "Drawing",
    "Evaluation",
    "GroundItem",
    "GroundReport",
    "IdentifyReport",
    "Judged",
    "KnownImage",
    "Mean",
    "ObjectItem",
    "OverviewKind",
    "Picture",
    "Pictures",
    "Predictor",
    "Sample",
    "Share",
    "TaskName",
    "VqaItem",
    "VqaReport",
    "ask_all",
    "caption_all",
    "check_answers",
    "evaluate_answers",
    "evaluate_captions",
    "evaluate_classes",
    "evaluate_detect",
    "evaluate_ground",
    "evaluate_identify",
    "evaluate_vqa",
    "evenly",
    "expected_calibration_error",
    "fit_scores",
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
    "score_captions",
    "with_references",
    "write_report",
]
