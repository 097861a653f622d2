"""Scores of anything that answers tasks about images: captions, boxes, questions, classes."""

from skyeye_edge.evaluation.answers import (
    ClassItem,
    ClassReport,
    VqaItem,
    VqaReport,
    evaluate_classes,
    evaluate_vqa,
)
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
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.reliability import (
    expected_calibration_error,
    plot_reliability,
    reliability,
)
from skyeye_edge.evaluation.shares import Share

__all__ = [
    "OVERVIEW_KINDS",
    "CalibrationReport",
    "CaptionItem",
    "CaptionReport",
    "CheckedAnswer",
    "ClassItem",
    "ClassReport",
    "DetectReport",
    "GroundItem",
    "GroundReport",
    "IdentifyReport",
    "Judged",
    "KnownImage",
    "Mean",
    "ObjectItem",
    "OverviewKind",
    "Picture",
    "Predictor",
    "Share",
    "VqaItem",
    "VqaReport",
    "caption_all",
    "check_answers",
    "evaluate_captions",
    "evaluate_classes",
    "evaluate_detect",
    "evaluate_ground",
    "evaluate_identify",
    "evaluate_vqa",
    "expected_calibration_error",
    "fit_scores",
    "judge_boxes",
    "mean_scores",
    "measure_calibration",
    "plain_words",
    "plot_reliability",
    "reliability",
    "rouge_l",
    "score_captions",
    "with_references",
]
