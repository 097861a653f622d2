"""Scores of anything that answers tasks about images: captions, boxes, questions, classes."""

from skyeye_edge.evaluation.answers import (
    ClassItem,
    ClassReport,
    VqaItem,
    VqaReport,
    evaluate_classes,
    evaluate_vqa,
)
from skyeye_edge.evaluation.captions import (
    CaptionItem,
    CaptionReport,
    caption_all,
    evaluate_captions,
    plain_words,
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
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.shares import Share

__all__ = [
    "CaptionItem",
    "CaptionReport",
    "ClassItem",
    "ClassReport",
    "DetectReport",
    "GroundItem",
    "GroundReport",
    "IdentifyReport",
    "ObjectItem",
    "Picture",
    "Predictor",
    "Share",
    "VqaItem",
    "VqaReport",
    "caption_all",
    "evaluate_captions",
    "evaluate_classes",
    "evaluate_detect",
    "evaluate_ground",
    "evaluate_identify",
    "evaluate_vqa",
    "plain_words",
    "score_captions",
    "with_references",
]
