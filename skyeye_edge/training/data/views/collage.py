"""Pictures made of others: real objects pasted on empty ground, and mosaics of four."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.labels import EMPTY_SCENES, EVERYWHERE
from skyeye_edge.training.data.views.augment import change_colours, crop_around, view_of

SMALLEST_CUT = 14.0  # pixels: smaller objects are no use as cut-outs
NEVER_CUT = frozenset({"tree", "palm tree", "dock", "harbour", "harbor", "bridge", "other"})
SMALLEST_PASTE, LARGEST_PASTE = 1 / 16, 1 / 3  # of the side
MOST_PASTED = 4
TRIES = 12  # to find free ground for an object


class Cuttings:
    """Real objects by label, and pictures of empty ground to put them on."""

    def __init__(self, boxed: Sequence[Annotation], scenes: Sequence[Annotation]) -> None:
        self.ground = [picture for picture in scenes if picture.scene.lower() in EMPTY_SCENES]
        self.objects: dict[str, list[tuple[Annotation, XYXY]]] = defaultdict(list)
        for picture in boxed:
            if picture.origin == "hit_uav":  # thermal: grey objects on coloured ground
                continue
            for box, label in picture.objects:
                if label not in NEVER_CUT and min(_sides(box)) >= SMALLEST_CUT:
                    self.objects[label].append((picture, box))
        self.labels = sorted(self.objects)
        self.weights = [len(self.objects[label]) ** 0.4 for label in self.labels]

    def paste(self, side: int, chance: random.Random, labels: frozenset[str]) -> Annotation:
        """One to four objects on empty ground; all of `labels` are then known to be there or not.

        Args:
            side: edge of the picture in pixels.
            chance: draws.
            labels: of all sets.
        """
        ground = chance.choice(self.ground)
        canvas = Image.fromarray(view_of(ground, side, chance).rgb)
        kinds = chance.choices(self.labels, self.weights, k=chance.randint(1, MOST_PASTED))
        if len(kinds) > 1 and chance.random() < 0.4:  # several of a kind, told apart by place
            kinds[1] = kinds[0]
        placed: list[Object] = []
        for label in kinds:
            picture, box = chance.choice(self.objects[label])
            if (spot := self._put(canvas, picture, box, placed, chance)) is not None:
                placed.append((spot, label))
        closed = frozenset(label for _, label in placed) | (labels - EVERYWHERE)
        return Annotation(
            (np.asarray(canvas),), objects=tuple(placed), origin="pasted", closed=closed
        )

    def _put(
        self,
        canvas: Image.Image,
        picture: Annotation,
        box: XYXY,
        placed: Sequence[Object],
        chance: random.Random,
    ) -> XYXY | None:
        side = canvas.width
        wide, high = _sides(box)
        size = side * math.exp(chance.uniform(math.log(SMALLEST_PASTE), math.log(LARGEST_PASTE)))
        factor = min(size / math.sqrt(wide * high), 2.5, 0.7 * side / max(wide, high))
        margin = chance.uniform(0.08, 0.3) * min(wide, high)
        height, width, _ = picture.rgb.shape
        x1, y1 = max(0.0, box[0] - margin), max(0.0, box[1] - margin)
        x2, y2 = min(width, box[2] + margin), min(height, box[3] + margin)
        w, h = round((x2 - x1) * factor), round((y2 - y1) * factor)
        if min(w, h) < 4:
            return None
        cut = Image.fromarray(picture.rgb).resize(
            (w, h), Image.Resampling.BICUBIC, (x1, y1, x2, y2)
        )
        cut = Image.fromarray(change_colours(np.asarray(cut), chance, 0.15))
        for _ in range(TRIES):
            x, y = chance.randint(0, side - w), chance.randint(0, side - h)
            spot = (
                x + (box[0] - x1) * factor,
                y + (box[1] - y1) * factor,
                x + (box[2] - x1) * factor,
                y + (box[3] - y1) * factor,
            )
            if not any(_touch(spot, other) for other, _ in placed):
                canvas.paste(cut, (x, y), _soft(w, h, margin * factor))
                return spot
        return None


def mosaic(pictures: Sequence[Annotation], side: int, chance: random.Random) -> Annotation:
    """Four crops in the quarters of a square; a label is closed if it is in all four."""
    half = side // 2
    canvas = np.zeros((side, side, 3), np.uint8)
    objects: list[Object] = []
    closed: frozenset[str] | None = None
    cut: frozenset[str] = frozenset()
    for place, picture in enumerate(pictures):
        part = view_of(picture, half, chance, crop=crop_around(picture, chance))
        x, y = (place % 2) * half, (place // 2) * half
        canvas[y : y + half, x : x + half] = part.rgb
        objects += [((a + x, b + y, c + x, d + y), label) for (a, b, c, d), label in part.objects]
        closed = part.closed if closed is None else closed & part.closed
        cut |= part.cut
    return Annotation(
        (canvas,),
        objects=tuple(objects),
        origin="mosaic",
        closed=closed or frozenset(),
        cut=cut,
    )


def _sides(box: XYXY) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def _touch(a: XYXY, b: XYXY) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _soft(width: int, height: int, margin: float) -> Image.Image:
    """A mask that fades over the margin, so that no hard edge gives the object away."""
    mask = Image.new("L", (width, height), 0)
    edge = min(margin / 2, min(width, height) / 4)
    ImageDraw.Draw(mask).rectangle((edge, edge, width - edge, height - edge), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(max(0.5, edge / 2)))
