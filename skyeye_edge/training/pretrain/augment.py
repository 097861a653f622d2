"""Augmented pictures whose boxes follow, and what each patch of one shows."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageEnhance

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.builders.boxes import Object
from skyeye_edge.training.data.record import RGB


def augment(
    rgb: RGB,
    objects: list[Object],
    side: int,
    chance: random.Random,
    *,
    lowest: float = 1.0,
    crop: XYXY | None = None,
) -> tuple[RGB, list[Object]]:
    """A crop, one of the eight flips and turns, other colours; boxes follow and are clipped.

    An object stays if 60 % of it are inside and it is at least 3 px wide and high.
    """
    height, width, _ = rgb.shape
    if crop is None:
        area, aspect = chance.uniform(lowest, 1.0), math.exp(chance.uniform(-0.2, 0.2))
        w = min(width, width * math.sqrt(area * aspect))
        h = min(height, height * math.sqrt(area / aspect))
        x, y = chance.uniform(0, width - w), chance.uniform(0, height - h)
        crop = (x, y, x + w, y + h)
    picture = Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC, box=crop)
    kept = [moved for item in objects if (moved := _cropped(item, crop, side)) is not None]
    if chance.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        kept = [((side - x2, y1, side - x1, y2), label) for (x1, y1, x2, y2), label in kept]
    if chance.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        kept = [((x1, side - y2, x2, side - y1), label) for (x1, y1, x2, y2), label in kept]
    if chance.random() < 0.5:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
        kept = [((y1, x1, y2, x2), label) for (x1, y1, x2, y2), label in kept]
    return np.asarray(change_colours(picture, chance, 0.25)), kept


def _cropped(item: Object, crop: XYXY, side: int) -> Object | None:
    (x1, y1, x2, y2), label = item
    left, top, right, bottom = crop
    a, b, c, d = max(x1, left), max(y1, top), min(x2, right), min(y2, bottom)
    if c <= a or d <= b or (c - a) * (d - b) < 0.6 * (x2 - x1) * (y2 - y1):
        return None
    across, down = side / (right - left), side / (bottom - top)
    box = ((a - left) * across, (b - top) * down, (c - left) * across, (d - top) * down)
    return (box, label) if box[2] - box[0] >= 3 and box[3] - box[1] >= 3 else None


def crop_around(rgb: RGB, objects: Sequence[Object], chance: random.Random) -> XYXY:
    """Mostly a crop in which one object is 10 to 60 % of the side; at times the whole image."""
    height, width, _ = rgb.shape
    if chance.random() < 0.35:
        return (0.0, 0.0, float(width), float(height))
    x1, y1, x2, y2 = chance.choice(objects)[0]
    longest = max(x2 - x1, y2 - y1)
    edge = longest / math.exp(chance.uniform(math.log(0.1), math.log(0.6)))
    w, h = min(width, max(edge, 24.0)), min(height, max(edge, 24.0))
    left = chance.uniform(max(0.0, x2 - w), min(width - w, x1)) if x2 - w < x1 else x1
    top = chance.uniform(max(0.0, y2 - h), min(height - h, y1)) if y2 - h < y1 else y1
    left, top = min(max(0.0, left), width - w), min(max(0.0, top), height - h)
    return (left, top, left + w, top + h)


def dense_targets(
    objects: Sequence[tuple[XYXY, int]], grid: int, known: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Per patch: label (-1 nothing there, -2 not known) and box (grid * grid, 4) in 0..1.

    A patch belongs to the smallest box that covers its centre; a box that covers no centre takes
    the patch below its own.
    """
    labels = np.full((grid, grid), -1 if known else -2)
    boxes = np.zeros((grid, grid, 4), np.float32)
    centres = (np.arange(grid) + 0.5) / grid
    by_size = sorted(objects, key=lambda o: -(o[0][2] - o[0][0]) * (o[0][3] - o[0][1]))
    for (x1, y1, x2, y2), label in by_size:
        columns = np.flatnonzero((centres >= x1) & (centres <= x2))
        rows = np.flatnonzero((centres >= y1) & (centres <= y2))
        if not len(columns):
            columns = np.array([min(grid - 1, int((x1 + x2) / 2 * grid))])
        if not len(rows):
            rows = np.array([min(grid - 1, int((y1 + y2) / 2 * grid))])
        place = np.ix_(rows, columns)
        labels[place] = label
        boxes[place] = (x1, y1, x2, y2)
    return labels.reshape(-1), boxes.reshape(-1, 4)


def change_colours(picture: Image.Image, chance: random.Random, strength: float) -> Image.Image:
    """Brightness, contrast and colour, each changed by up to `strength`."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(chance.uniform(1 - strength, 1 + strength))
    return picture
