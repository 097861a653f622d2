"""Boxes: pixels, bins, and the text by which a model says them (SkyEyeGPT 3.2; box_languages.py).

Bins are shares of the square that a model looks at: the image stretched to one, padded, or cropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.box_languages import LANGUAGES, LARGEST_ANGLE, BoxLanguage, Numbers
from skyeye_edge.core.errors import InputError

XYXY = tuple[float, float, float, float]
Bins = tuple[float, float, float, float]  # written ones are whole, read ones may lie between
Size = tuple[int, int]  # (width, height) in pixels
Point = tuple[float, float]
BoxLabels = Literal["rounded", "truncated"]
Within = Literal["image", "padded", "cropped"]


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """How a model writes boxes."""

    bins: int = 100  # edges are integers 0..bins
    labels: BoxLabels = "rounded"  # the rule that made the training labels
    absent: str = ""  # what a model answers when nothing is there; empty: it never learnt to
    format: str = "minigptv2"  # a key of LANGUAGES
    min_size: int = 0  # bins that a box is wide and high at least; 0: boxes of no area are legal
    within: Within = "image"  # what edges are shares of: image, padded square, or central square

    def __post_init__(self) -> None:
        if self.bins < 1 or self.labels not in ("rounded", "truncated"):
            raise InputError(f"boxes: bins {self.bins}, labels {self.labels!r} are not known")
        if not 0 <= self.min_size <= self.bins:
            raise InputError(f"boxes: min_size {self.min_size} is not from 0 to {self.bins} bins")
        if self.absent != self.absent.strip() or set(self.absent) & set("{<["):
            raise InputError(
                f"boxes: absent {self.absent!r} must be plain words, no marks of the box syntax"
            )
        if self.format not in LANGUAGES or self.within not in _SEEN:
            raise InputError(
                f"boxes: format {self.format!r} within {self.within!r} is not known; formats are "
                f"{', '.join(LANGUAGES)}, within {', '.join(_SEEN)}"
            )
        if self.language.shares and not re.fullmatch("10+", str(self.bins)):
            raise InputError(
                f"boxes: bins {self.bins} of format {self.format!r}: 10, 100 or 1000, by the digits"
            )

    @property
    def language(self) -> BoxLanguage:
        """How boxes are written."""
        return LANGUAGES[self.format]

    @property
    def numbers(self) -> tuple[Numbers, ...]:
        """How each number of a box is written: four edges, and the angle where there is one."""
        return _numbers(self.format, self.bins)


@lru_cache
def _numbers(name: str, bins: int) -> tuple[Numbers, ...]:
    language = LANGUAGES[name]
    edge = Numbers(bins, len(str(bins)) - 1 if language.shares else 0)
    return (edge,) * 4 + ((Numbers(LARGEST_ANGLE),) if language.turned else ())


_SEEN: Mapping[str, Callable[[int, int], tuple[int, int, int, int]]] = MappingProxyType(
    {  # left, top, width and height of what the model sees, in pixels of a (width, height) image
        "image": lambda width, height: (0, 0, width, height),
        "padded": lambda width, height: _square(width, height, max(width, height)),
        "cropped": lambda width, height: _square(width, height, min(width, height)),
    }
)


def _square(width: int, height: int, side: int) -> tuple[int, int, int, int]:
    # Padding is a whole number of pixels, the smaller half before the image (LLaVA, mm_utils.py).
    return -((side - width) // 2), -((side - height) // 2), side, side


@dataclass(frozen=True, slots=True)
class Box:
    """Box in pixels of the image that was asked about; x to the right, y down.

    `xyxy` is the box before it is turned about its centre by `angle`; most models write no angle.
    """

    xyxy: XYXY
    score: float = 1.0  # 0..1, how probable it is that the box is right; see docs/formats.md
    label: str = ""  # what it is a box of; a result fills in its phrase or name
    angle: float = 0.0  # degrees, clockwise as one sees it

    def __post_init__(self) -> None:
        check_corners(self.xyxy)
        check_number(self.score, "box: score", 0, 1)
        check_number(self.angle, "box: angle", -360, 360)

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """The turned box's corners, in pixels; clockwise, from the one that was left above."""
        x1, y1, x2, y2 = self.xyxy
        middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))

        def turned(x: float, y: float) -> Point:
            right, down = x - middle_x, y - middle_y
            return middle_x + cosine * right - sine * down, middle_y + sine * right + cosine * down

        return turned(x1, y1), turned(x2, y1), turned(x2, y2), turned(x1, y2)

    @property
    def hull(self) -> XYXY:
        """The smallest upright box around it: `xyxy` itself if it is not turned."""
        if not self.angle:
            return self.xyxy
        across, down = zip(*self.corners, strict=True)
        return min(across), min(down), max(across), max(down)


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


def _seen(size: Size, boxes: BoxSpec) -> tuple[int, int, int, int]:
    """Left, top, width, height of what the model sees, in pixels of the image."""
    return _SEEN[boxes.within](*size)


def quantise(edge: float, size: int, boxes: BoxSpec) -> int:
    """Bin (0..bins) of a pixel edge on an axis of `size` pixels, by the labels' own rule."""
    half = 0.5 if boxes.labels == "rounded" else 0.0
    return min(boxes.bins, max(0, math.floor(edge / size * boxes.bins + half)))


def dequantise(step: float, size: int, boxes: BoxSpec) -> float:
    """Pixel edge that `quantise` meant; at most half a bin away from an edge inside the image."""
    half = 0.0 if boxes.labels == "rounded" else 0.5
    return min(step + half, boxes.bins) / boxes.bins * size


def box_bins(box: XYXY, size: Size, boxes: BoxSpec) -> tuple[int, int, int, int]:
    """The four bins of a pixel box; one that is smaller than the model can say is made wider."""
    x1, y1, x2, y2 = box
    x, y, width, height = _seen(size, boxes)
    left, right = _apart(quantise(x1 - x, width, boxes), quantise(x2 - x, width, boxes), boxes)
    top, bottom = _apart(quantise(y1 - y, height, boxes), quantise(y2 - y, height, boxes), boxes)
    return left, top, right, bottom


def _apart(low: int, high: int, boxes: BoxSpec) -> tuple[int, int]:
    high = max(high, min(boxes.bins, low + boxes.min_size))
    return min(low, high - boxes.min_size), high


def box_text(box: XYXY, size: Size, boxes: BoxSpec, angle: float = 0.0) -> str:
    """A pixel box as the model reads and writes it; the angle only where it writes angles."""
    values = (*box_bins(box, size, boxes), round(angle) % LARGEST_ANGLE)
    texts = (form.text(value) for form, value in zip(boxes.numbers, values, strict=False))
    return boxes.language.write(tuple(texts))


def box_pixels(bins: Bins, size: Size, boxes: BoxSpec, angle: float = 0.0) -> XYXY:
    """The pixel box that four bins mean.

    What lies in the padding is cut off; of a turned box not, because that would move its centre.
    """
    x, y, width, height = _seen(size, boxes)
    x1, y1, x2, y2 = bins
    across = [x + dequantise(step, width, boxes) for step in (x1, x2)]
    down = [y + dequantise(step, height, boxes) for step in (y1, y2)]
    if not angle:
        across = [min(max(edge, 0.0), size[0]) for edge in across]
        down = [min(max(edge, 0.0), size[1]) for edge in down]
    return across[0], down[0], across[1], down[1]


@dataclass(frozen=True, slots=True)
class ParsedBoxes:
    """Boxes read out of a text."""

    corners: list[Bins]
    complete: bool  # False: a box was begun and not closed


_PLAIN = BoxSpec()


def parse_boxes(text: str, boxes: BoxSpec = _PLAIN) -> ParsedBoxes:
    """All boxes in a text, in order; `complete` is False if the text breaks off inside one."""
    pattern = boxes.language.box
    corners = [read_box(found, boxes)[0] for found in pattern.finditer(text)]
    opening = boxes.language.marks[0][0]
    return ParsedBoxes(corners, opening not in pattern.sub("", text))


def read_box(found: re.Match[str], boxes: BoxSpec) -> tuple[Bins, float]:
    """Bins and angle of a match of the language's `box`."""
    edges = [float(digits) for digits in found.groups()[:4]]
    if boxes.language.shares:
        edges = [round(edge * boxes.bins, 6) for edge in edges]
    angle = float(found[5] or 0) if boxes.language.turned else 0.0
    if abs(angle) > LARGEST_ANGLE:
        angle %= LARGEST_ANGLE
    return (edges[0], edges[1], edges[2], edges[3]), angle


def is_box(bins: Bins, boxes: BoxSpec) -> bool:
    """True if bins that were read are in range, not swapped, and as far apart as they must be."""
    x1, y1, x2, y2 = bins
    far = boxes.min_size
    return x1 + far <= x2 <= boxes.bins and y1 + far <= y2 <= boxes.bins
