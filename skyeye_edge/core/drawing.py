"""Boxes with their names, and a caption, on pictures: prepared once, put on many frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from skyeye_edge.core.boxes import Box, Size
from skyeye_edge.core.fonts import text_mask, text_width
from skyeye_edge.core.placement import Rectangle, place_labels

Colour = tuple[int, int, int]
Rgb = npt.NDArray[np.uint8]

# Told apart also by people who do not see red and green as most do (Okabe and Ito, 2008).
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
MOST_LINES = 3  # of the caption bar
BAR = 85  # of 256: so much of the picture is still seen under the caption
_PIECE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff]+")
"""What a line is broken between: words, and single letters of scripts that set no spaces."""


@dataclass(frozen=True, slots=True)
class Label:
    """A box with its words."""

    box: Box
    name: str
    colour: Colour

    @property
    def score(self) -> str:
        """What stands behind the name."""
        return f" {self.box.score:.2f}"


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Pixels to put on a picture."""

    left: int
    top: int
    rgb: Rgb  # (height, width, 3), to be added to what is kept
    kept: npt.NDArray[np.uint16] | None = None  # (height, width, 1) in 256ths; None: nothing


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is put on every picture of one size."""

    patches: tuple[Patch, ...]

    def on(self, rgb: Rgb) -> Rgb:
        """A copy of (height, width, 3) `rgb` with the drawing on it."""
        canvas = np.array(rgb, order="C")
        for patch in self.patches:
            height, width = patch.rgb.shape[:2]
            view = canvas[patch.top : patch.top + height, patch.left : patch.left + width]
            view[...] = patch.rgb if patch.kept is None else (view * patch.kept >> 8) + patch.rgb
        return canvas


def build_drawing(
    named: Sequence[tuple[str, Sequence[Box]]], caption: str, asked: Size, size: Size
) -> Drawing:
    """Boxes, their names and scores where they do not hide each other, and the caption.

    Args:
        named: names with their boxes, also those without any: each name keeps its colour.
        caption: what stands in the bar at the bottom; empty: no bar.
        asked: (width, height) that the boxes are given in.
        size: (width, height) of the pictures.
    """
    labels = build_labels(named)
    places = [_scaled(label.box, asked, size) for label in labels]
    bar = _caption_bar(caption, size)
    lines = [
        patch
        for label, place in zip(labels, places, strict=True)
        for patch in (
            _turned_outline(label, asked, size) if label.box.angle else _outline(label, place, size)
        )
    ]
    return Drawing((*lines, *_labels(labels, places, size, _height(bar)), *bar))


def build_labels(named: Sequence[tuple[str, Sequence[Box]]]) -> list[Label]:
    """What is drawn as boxes: one colour per name."""
    return [
        Label(box, name, COLOURS[number % len(COLOURS)])
        for number, (name, boxes) in enumerate(named)
        for box in boxes
    ]


def _scaled(box: Box, asked: Size, size: Size) -> Rectangle:
    """The pixels of a box, its last ones included; beyond the picture's edge is on the edge."""
    x, y = size[0] / asked[0], size[1] / asked[1]
    left, right = (min(size[0] - 1, max(0, round(edge * x))) for edge in box.hull[::2])
    top, bottom = (min(size[1] - 1, max(0, round(edge * y))) for edge in box.hull[1::2])
    return Rectangle(left, top, right + 1, bottom + 1)


def _thickness(size: Size) -> int:
    return max(2, round(min(size) / 240))


def _outline(label: Label, place: Rectangle, size: Size) -> list[Patch]:
    """Four bars, whose middle is the edge."""
    thickness = _thickness(size)
    before, after = thickness // 2, thickness - thickness // 2
    outer = Rectangle(
        place.left - before,
        place.top - before,
        place.right + after - 1,
        place.bottom + after - 1,
    )
    patches = []
    for bar in (
        Rectangle(outer.left, outer.top, outer.right, outer.top + thickness),
        Rectangle(outer.left, outer.bottom - thickness, outer.right, outer.bottom),
        Rectangle(outer.left, outer.top, outer.left + thickness, outer.bottom),
        Rectangle(outer.right - thickness, outer.top, outer.right, outer.bottom),
    ):
        seen = bar.cut_to(Rectangle(0, 0, *size))
        rgb = np.empty((seen.height, seen.width, 3), np.uint8)
        rgb[...] = label.colour
        patches.append(Patch(seen.left, seen.top, rgb))
    return patches


def _turned_outline(label: Label, asked: Size, size: Size) -> list[Patch]:
    """Lines between the corners of a turned box; what lies beyond the picture is cut off."""
    x, y = size[0] / asked[0], size[1] / asked[1]
    corners = [(across * x, down * y) for across, down in label.box.corners]
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    pen.line([*corners, *corners[:2]], fill=255, width=_thickness(size), joint="curve")
    drawn = mask.getbbox()
    if drawn is None:
        return []
    ink = np.asarray(mask.crop(drawn), np.uint16)[..., None]
    rgb = (ink * np.array(label.colour, np.uint16) // 255).astype(np.uint8)
    return [Patch(drawn[0], drawn[1], rgb, (255 - ink) * 256 // 255)]


def _labels(
    labels: Sequence[Label], places: Sequence[Rectangle], size: Size, bar: int
) -> list[Patch]:
    """The names beside their boxes, above the bar; one that finds no free place is left out."""
    capital = 0.8 * _capital(size)
    pad = max(2, round(capital / 4))
    masks = []
    for label in labels:
        room = size[0] - 2 * pad - text_width(label.score, capital)
        name = _shortened(label.name, capital, room)
        masks.append(np.pad(text_mask(name + label.score, capital), ((0, 0), (pad, pad))))
    wanted = [(mask.shape[1], mask.shape[0]) for mask in masks]
    found = place_labels(places, wanted, (size[0], size[1] - bar))
    return [
        Patch(place.left, place.top, _inked(mask, label.colour))
        for label, mask, place in zip(labels, masks, found, strict=True)
        if place is not None
    ]


def _inked(mask: npt.NDArray[np.uint8], colour: Colour) -> Rgb:
    """Black letters on a colour."""
    paper = 255 - mask[..., None].astype(np.uint16)
    return (paper * np.array(colour, np.uint16) // 255).astype(np.uint8)


def _caption_bar(text: str, size: Size) -> list[Patch]:
    """White letters on a dark bar under which the picture is still seen."""
    if not text.strip():
        return []
    width, height = size
    capital = _capital(size)
    pad = max(3, round(capital / 2))
    lines = [text_mask(line, capital) for line in _wrapped(text, capital, width - 2 * pad)]
    step = round(1.7 * capital)
    ink = np.zeros((step * (len(lines) - 1) + lines[0].shape[0] + 2 * (pad // 2), width), np.uint16)
    for number, line in enumerate(lines):
        top = pad // 2 + step * number
        view = ink[top : top + line.shape[0], pad : pad + line.shape[1]]
        np.maximum(view, line[:, : view.shape[1]], out=view)
    ink = ink[:height, :, None]
    rgb = np.repeat(ink.astype(np.uint8), 3, axis=2)
    return [Patch(0, height - ink.shape[0], rgb, (255 - ink) * BAR // 255)]


def _height(bar: Sequence[Patch]) -> int:
    return sum(patch.rgb.shape[0] for patch in bar)


def _wrapped(text: str, capital: float, room: int) -> list[str]:
    """At most MOST_LINES lines that fit `room` pixels; what is too much ends in dots."""
    lines, end, space = [""], 0, text_width("a a", capital) - text_width("aa", capital)
    left = room  # in the last line; by pieces, because measuring whole lines costs more
    for piece in _PIECE.finditer(text):
        gap = " " if piece.start() > end and lines[-1] else ""
        need = text_width(piece[0], capital) + (space if gap else 0)
        if lines[-1] and need > left:
            lines.append(piece[0])
            left = room - text_width(piece[0], capital)
        else:
            lines[-1] += gap + piece[0]
            left -= need
        end = piece.end()
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], " ".join(lines[MOST_LINES - 1 :])]
    return [_shortened(line, capital, room) for line in lines]


def _shortened(text: str, capital: float, room: int) -> str:
    """The beginning that fits `room` pixels, with dots where something is left out."""
    if text_width(text, capital) <= room:
        return text
    short, long = 0, len(text)  # the most letters that fit lie in short..long-1
    while long - short > 1:
        middle = (short + long) // 2
        fits = text_width(text[:middle].rstrip() + "…", capital) <= room
        short, long = (middle, long) if fits else (short, middle)
    return text[:short].rstrip() + "…"


def _capital(size: Size) -> float:
    """Pixels of a capital letter: 12 at 640x360, 38 at 1920x1080."""
    width, height = size
    return max(9.0, 0.035 * min(height, width * 9 / 16))
