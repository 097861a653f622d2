"""Views of pictures: crops, flips, turns and colours; boxes and words follow."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.record import RGB, read_rgb

INSIDE = 0.6  # an object stays if so much of it is inside the crop
GONE = 0.05  # and is called outside if less than this is
SMALLEST = 4.0  # pixels of the view: what is smaller is neither learnt nor denied

_ACROSS = {"left": "right", "leftmost": "rightmost"}
_DOWN = {"top": "bottom", "topmost": "bottommost", "upper": "lower", "above": "below"}
_ACROSS |= {there: here for here, there in _ACROSS.items()}
_DOWN |= {there: here for here, there in _DOWN.items()}
_PLACES = re.compile(rf"\b({'|'.join([*_ACROSS, *_DOWN])})\b")


def view_of(
    picture: Annotation, side: int, chance: random.Random, *, crop: XYXY | None = None
) -> Annotation:
    """A square of `side` pixels: a crop (all of it without one), flipped or turned at random.

    Boxes follow and are clipped. A label of which the crop cuts an object off, or makes one too
    small, is noted in `cut`: nothing is said about how many there are. Words about left and right,
    above and below follow; pictures with such words are never turned, upright ones never put on
    their head.
    """
    height, width, _ = picture.rgb.shape
    box = crop or (0.0, 0.0, float(width), float(height))
    frames = [Image.fromarray(read_rgb(each)) for each in picture.images]
    frames = [each.resize((side, side), Image.Resampling.BICUBIC, box=box) for each in frames]
    objects, lost = _crop_objects(picture.objects, box, side)
    phrases = [(text, moved) for text, each in picture.phrases if (moved := _cut(each, box, side))]
    placed = any(_PLACES.search(text) for text in _texts(picture))
    flips = (
        chance.random() < 0.5,
        not picture.upright and chance.random() < 0.5,
        not picture.upright and not placed and chance.random() < 0.5,
    )
    return replace(
        picture,
        images=tuple(_flip_image(each, flips) for each in frames),
        captions=tuple(_flip_words(text, flips) for text in picture.captions),
        objects=tuple((_flip_box(each, side, flips), label) for each, label in objects),
        cut=picture.cut | lost,
        phrases=tuple((_flip_words(t, flips), _flip_box(b, side, flips)) for t, b in phrases),
        absent=tuple(_flip_words(text, flips) for text in picture.absent),
        questions=tuple(
            (_flip_words(q, flips), _flip_words(a, flips)) for q, a in picture.questions
        ),
    )


def reduced(picture: Annotation, longest: int) -> Annotation:
    """The picture read, and at most so many pixels long.

    Raises:
        MediaError: a file is missing or no image.
    """
    read = picture.read()
    height, width, _ = read.rgb.shape
    share = min(1.0, longest / max(width, height))
    if share == 1.0:
        return read
    return replace(
        read,
        images=tuple(_reduced(read_rgb(image), longest) for image in read.images),
        objects=tuple((scaled(box, share, share), label) for box, label in read.objects),
        phrases=tuple((text, scaled(box, share, share)) for text, box in read.phrases),
    )


def _reduced(rgb: RGB, longest: int) -> RGB:
    image = Image.fromarray(rgb)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return np.asarray(image)


def scaled(box: XYXY, across: float, down: float) -> XYXY:
    """A box in a picture that was resized by these factors."""
    x1, y1, x2, y2 = box
    return x1 * across, y1 * down, x2 * across, y2 * down


Flips = tuple[bool, bool, bool]  # left to right, top to bottom, along the diagonal; in this order


def _crop_objects(
    objects: Iterable[Object], crop: XYXY, side: int
) -> tuple[list[Object], frozenset[str]]:
    kept, lost = [], set()
    for box, label in objects:
        if moved := _cut(box, crop, side):
            kept.append((moved, label))
        elif _inside(box, crop) > GONE:
            lost.add(label)
    return kept, frozenset(lost)


def _inside(box: XYXY, crop: XYXY) -> float:
    """Share of `box` that is inside `crop`."""
    across = min(box[2], crop[2]) - max(box[0], crop[0])
    down = min(box[3], crop[3]) - max(box[1], crop[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(0.0, across) * max(0.0, down) / area if area > 0 else 0.0


def _cut(box: XYXY, crop: XYXY, side: int) -> XYXY | None:
    """`box` in the view, clipped; None if it is no longer there."""
    if _inside(box, crop) < INSIDE:
        return None
    left, top, right, bottom = crop
    inner = (
        max(box[0], left) - left,
        max(box[1], top) - top,
        min(box[2], right) - left,
        min(box[3], bottom) - top,
    )
    moved = scaled(inner, side / (right - left), side / (bottom - top))
    large = min(moved[2] - moved[0], moved[3] - moved[1]) >= SMALLEST
    return moved if large else None


def _texts(picture: Annotation) -> Iterable[str]:
    yield from picture.captions
    yield from (text for text, _ in picture.phrases)
    yield from picture.absent
    for question, answer in picture.questions:
        yield question
        yield answer


def _flip_image(image: Image.Image, flips: Flips) -> npt.NDArray[np.uint8]:
    across, down, turned = flips
    rgb = np.asarray(image)
    if across:
        rgb = rgb[:, ::-1]
    if down:
        rgb = rgb[::-1]
    if turned:
        rgb = rgb.transpose(1, 0, 2)
    return np.ascontiguousarray(rgb)


def _flip_box(box: XYXY, side: int, flips: Flips) -> XYXY:
    x1, y1, x2, y2 = box
    across, down, turned = flips
    if across:
        x1, x2 = side - x2, side - x1
    if down:
        y1, y2 = side - y2, side - y1
    return (y1, x1, y2, x2) if turned else (x1, y1, x2, y2)


def _flip_words(text: str, flips: Flips) -> str:
    across, down, _ = flips
    words = (_ACROSS if across else {}) | (_DOWN if down else {})
    return _PLACES.sub(lambda found: words.get(found[0], found[0]), text) if words else text


def random_crop(picture: Annotation, chance: random.Random, lowest: float) -> XYXY:
    """A crop of `lowest` to all of the area, a little longer or wider than the picture."""
    height, width, _ = picture.rgb.shape
    area, aspect = chance.uniform(lowest, 1.0), math.exp(chance.uniform(-0.2, 0.2))
    w = min(width, width * math.sqrt(area * aspect))
    h = min(height, height * math.sqrt(area / aspect))
    x, y = chance.uniform(0, width - w), chance.uniform(0, height - h)
    return x, y, x + w, y + h


def crop_around(picture: Annotation, chance: random.Random) -> XYXY:
    """A crop in which one object, of a label drawn evenly, is 8 to 60 % of the longer side."""
    height, width, _ = picture.rgb.shape
    label = chance.choice(sorted({label for _, label in picture.objects}))
    x1, y1, x2, y2 = chance.choice([box for box, name in picture.objects if name == label])
    longest = max(x2 - x1, y2 - y1)
    edge = max(24.0, longest / math.exp(chance.uniform(math.log(0.08), math.log(0.6))))
    aspect = math.exp(chance.uniform(-0.25, 0.25))
    w, h = min(width, edge * aspect), min(height, edge / aspect)
    x = min(max(0.0, chance.uniform(x2 - w, x1) if w > x2 - x1 else x1), width - w)
    y = min(max(0.0, chance.uniform(y2 - h, y1) if h > y2 - y1 else y1), height - h)
    return x, y, x + w, y + h


def tinted(picture: Annotation, chance: random.Random, strength: float) -> Annotation:
    """The picture in other colours; frames of a clip alike."""
    lot = chance.getstate()
    changed = []
    for image in picture.images:
        chance.setstate(lot)
        changed.append(change_colours(read_rgb(image), chance, strength))
    return replace(picture, images=tuple(changed))


def change_colours(
    rgb: npt.NDArray[np.uint8], chance: random.Random, strength: float
) -> npt.NDArray[np.uint8]:
    """Brightness, contrast, colour and tint, each changed by up to `strength`; at times grey."""
    light, contrast = (chance.uniform(1 - strength, 1 + strength) for _ in range(2))
    colour = 0.0 if chance.random() < 0.03 else chance.uniform(1 - 1.5 * strength, 1 + strength)
    tint = np.array([chance.uniform(1 - strength / 3, 1 + strength / 3) for _ in range(3)])
    grey = np.array([0.299, 0.587, 0.114], np.float32)
    mix = (colour * np.eye(3) + (1 - colour) * grey[:, None]) * tint * light * contrast
    middle = float(rgb[::8, ::8].mean()) * light
    changed = rgb.reshape(-1, 3).astype(np.float32) @ mix.astype(np.float32)
    changed += middle * (1 - contrast)
    return np.asarray(changed.clip(0, 255).astype(np.uint8)).reshape(rgb.shape)
