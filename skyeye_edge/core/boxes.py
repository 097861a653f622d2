"""Boxes: pixels, bins and the text `{<x1><y1><x2><y2>}` (SkyEyeGPT 3.2, MiniGPT-v2)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import InputError

XYXY = tuple[float, float, float, float]
Bins = tuple[int, int, int, int]
Size = tuple[int, int]  # (width, height) in pixels
BoxLabels = Literal["rounded", "truncated"]


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """How a model writes boxes."""

    bins: int = 100  # edges are integers 0..bins
    labels: BoxLabels = "rounded"  # the rule that made the training labels
    absent: str = ""  # what a model answers when nothing is there; empty: it never learnt to
    format: Literal["minigptv2"] = "minigptv2"
    min_size: int = 0  # bins that a box is wide and high at least; 0: boxes of no area are legal

    def __post_init__(self) -> None:
        if self.bins < 1 or self.labels not in ("rounded", "truncated"):
            raise InputError(f"boxes: bins {self.bins}, labels {self.labels!r} are not known")
        if not 0 <= self.min_size <= self.bins:
            raise InputError(f"boxes: min_size {self.min_size} is not from 0 to {self.bins} bins")
        if self.absent != self.absent.strip() or set(self.absent) & set("{<"):
            raise InputError(
                f"boxes: absent {self.absent!r} must be plain words, no marks of the box syntax"
            )
        if self.format != "minigptv2":
            raise InputError(f"boxes: format {self.format!r} is not known, only 'minigptv2'")


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box in pixels of the image that was asked about; x to the right, y down."""

    xyxy: XYXY
    score: float = 1.0  # 0..1, how probable it is that the box is right; see docs/formats.md
    label: str = ""  # what it is a box of; a result fills in its phrase or name

    def __post_init__(self) -> None:
        check_corners(self.xyxy)
        check_number(self.score, "box: score", 0, 1)


def check_corners(xyxy: XYXY) -> None:
    """Refuse what is no box in pixels; raises InputError."""
    try:
        x1, y1, x2, y2 = (float(edge) for edge in xyxy if not isinstance(edge, str))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"box {xyxy!r}: give four numbers: left, top, right, bottom in pixels"
        ) from error
    if not (-math.inf < x1 <= x2 < math.inf and -math.inf < y1 <= y2 < math.inf):
        raise InputError(
            f"box {xyxy}: corners swapped or not finite; give left, top, right, bottom"
        )


def quantise(edge: float, size: int, boxes: BoxSpec) -> int:
    """Bin (0..bins) of a pixel edge on an axis of `size` pixels, by the labels' own rule."""
    half = 0.5 if boxes.labels == "rounded" else 0.0
    return min(boxes.bins, max(0, math.floor(edge / size * boxes.bins + half)))


def dequantise(step: int, size: int, boxes: BoxSpec) -> float:
    """Pixel edge that `quantise` meant; at most half a bin away from an edge inside the image."""
    half = 0.0 if boxes.labels == "rounded" else 0.5
    return min(step + half, boxes.bins) / boxes.bins * size


def box_bins(box: XYXY, size: Size, boxes: BoxSpec) -> Bins:
    """The four bins of a pixel box; one that is smaller than the model can say is made wider."""
    (x1, y1, x2, y2), (width, height) = box, size
    left, right = _apart(quantise(x1, width, boxes), quantise(x2, width, boxes), boxes)
    top, bottom = _apart(quantise(y1, height, boxes), quantise(y2, height, boxes), boxes)
    return left, top, right, bottom


def _apart(low: int, high: int, boxes: BoxSpec) -> tuple[int, int]:
    high = max(high, min(boxes.bins, low + boxes.min_size))
    return min(low, high - boxes.min_size), high


def box_text(box: XYXY, size: Size, boxes: BoxSpec) -> str:
    """A pixel box as the model reads and writes it."""
    return "{" + "".join(f"<{step}>" for step in box_bins(box, size, boxes)) + "}"


def box_pixels(bins: Bins, size: Size, boxes: BoxSpec) -> XYXY:
    """The pixel box that four bins mean."""
    width, height = size
    x1, y1, x2, y2 = bins
    return (
        dequantise(x1, width, boxes),
        dequantise(y1, height, boxes),
        dequantise(x2, width, boxes),
        dequantise(y2, height, boxes),
    )


@dataclass(frozen=True, slots=True)
class ParsedBoxes:
    """Boxes read out of a text."""

    corners: list[Bins]
    complete: bool  # False: a box was begun and not closed


BOX_TEXT = re.compile(r"\{<([0-9]{1,4})><([0-9]{1,4})><([0-9]{1,4})><([0-9]{1,4})>\}")


def parse_boxes(text: str) -> ParsedBoxes:
    """All boxes in a text, in order; `complete` is False if the text breaks off inside one."""
    corners: list[Bins] = []
    for found in BOX_TEXT.finditer(text):
        x1, y1, x2, y2 = (int(digits) for digits in found.groups())
        corners.append((x1, y1, x2, y2))
    return ParsedBoxes(corners, "{" not in BOX_TEXT.sub("", text))


def is_box(bins: Bins, boxes: BoxSpec) -> bool:
    """True if bins that were read are in range, not swapped, and as far apart as they must be."""
    x1, y1, x2, y2 = bins
    far = boxes.min_size
    return x1 + far <= x2 <= boxes.bins and y1 + far <= y2 <= boxes.bins
