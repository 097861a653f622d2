"""An answer drawn on the picture it is about."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import needs
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)

Colour = tuple[int, int, int]
Rgb = npt.NDArray[np.uint8]

# Told apart also by people who do not see red and green as most do (Okabe and Ito, 2008).
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
MOST_LINES = 3  # of the caption bar


@dataclass(frozen=True, slots=True)
class Label:
    """A box with its words."""

    box: Box
    text: str
    colour: Colour


def draw_answer(rgb: Rgb, event: AnswerEvent) -> Rgb:
    """A copy of (H, W, 3) `rgb` with the boxes, their phrases and scores, and the caption.

    Boxes are scaled from the size in the event, so `rgb` may be of another size.
    """
    canvas = np.array(rgb, order="C")
    scale = (canvas.shape[1] / event.size[0], canvas.shape[0] / event.size[1])
    for label in build_labels(event.results):
        _draw_label(canvas, label, scale)
    _draw_caption(canvas, build_caption(event.results))
    return canvas


def build_labels(results: tuple[TaskResult, ...]) -> list[Label]:
    """What is drawn as boxes: one colour per task, or per phrase of a description."""
    named: list[tuple[str, tuple[Box, ...]]] = []
    for result in results:
        match result:
            case GroundResult(phrase=name, boxes=boxes) | DetectResult(name=name, boxes=boxes):
                named.append((name, boxes))
            case TextResult(phrases=phrases):
                named += phrases
            case _:
                pass
    return [
        Label(box, f"{name} {box.score:.2f}", COLOURS[number % len(COLOURS)])
        for number, (name, boxes) in enumerate(named)
        for box in boxes
    ]


def build_caption(results: tuple[TaskResult, ...]) -> str:
    """What stands in the bar: the texts, and the phrases that were not found."""
    parts = []
    for result in results:
        match result:
            case TextResult(task="ask"):
                parts.append(f"{result.question} {result.text}")
            case TextResult():
                parts.append(result.text)
            case ClassifyResult():
                parts.append(result.label)
            case GroundResult(phrase=name) | DetectResult(name=name) if not result.found:
                parts.append(f"{name}: {result.outcome}")
            case _:
                pass
    return "  |  ".join(part.strip() for part in parts if part.strip())


def plain(text: str) -> str:
    """Letters that the line font has: accents are dropped, others become `?`."""
    text = " ".join(text.replace("ß", "ss").split())
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode()


def _draw_label(canvas: Rgb, label: Label, scale: tuple[float, float]) -> None:
    with needs("runtime"):
        import cv2
    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = label.box.xyxy
    left, right = (min(width - 1, max(0, round(x * scale[0]))) for x in (x1, x2))
    top, bottom = (min(height - 1, max(0, round(y * scale[1]))) for y in (y1, y2))
    thickness = max(2, round(min(height, width) / 240))
    cv2.rectangle(canvas, (left, top), (right, bottom), label.colour, thickness)
    size = 0.8 * _text_height(canvas)
    text_width, text_height = _measure(label.text, size)
    pad = max(2, round(size / 4))
    bar = text_height + 2 * pad
    x = max(0, min(left, width - text_width - 2 * pad))
    y = top - bar if top >= bar else min(top, height - bar)  # inside the box if there is no room
    cv2.rectangle(canvas, (x, y), (x + text_width + 2 * pad, y + bar), label.colour, cv2.FILLED)
    _write(canvas, label.text, (x + pad, y + pad + text_height), size, BLACK)


def _draw_caption(canvas: Rgb, text: str) -> None:
    if not text:
        return
    size = _text_height(canvas)
    height, width = canvas.shape[:2]
    pad = max(3, round(size / 2))
    lines = _wrap(text, size, width - 2 * pad)
    step = round(1.7 * size)
    top = max(0, height - step * len(lines) - pad)
    canvas[top:] //= 3  # a dark bar under which the picture is still seen
    for number, line in enumerate(lines, start=1):
        _write(canvas, line, (pad, top + step * number), size, WHITE)


def _wrap(text: str, size: float, room: int) -> list[str]:
    """At most MOST_LINES lines that fit `room` pixels; what is too much ends in dots."""
    lines = [""]
    for word in plain(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _measure(longer, size)[0] > room:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"{lines[MOST_LINES - 1]} ..."]
    return lines


def _text_height(canvas: Rgb) -> float:
    """Pixels of a capital letter: 12 at 640x360, 38 at 1920x1080."""
    height, width = canvas.shape[:2]
    return max(9.0, 0.035 * float(min(height, width * 9 / 16)))


def _measure(text: str, size: float) -> tuple[int, int]:
    with needs("runtime"):
        import cv2
    (width, height), _ = cv2.getTextSize(
        plain(text), cv2.FONT_HERSHEY_DUPLEX, _font_scale(size), _stroke(size)
    )
    return width, height


def _write(canvas: Rgb, text: str, start: tuple[int, int], size: float, colour: Colour) -> None:
    with needs("runtime"):
        import cv2
    cv2.putText(
        canvas, plain(text), start, cv2.FONT_HERSHEY_DUPLEX, _font_scale(size), colour,
        _stroke(size), cv2.LINE_AA,
    )  # fmt: skip


def _font_scale(size: float) -> float:
    return size / 22  # a capital of this font has 22 pixels at scale 1


def _stroke(size: float) -> int:
    return max(1, round(size / 14))
