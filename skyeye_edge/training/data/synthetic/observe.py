"""What a camera sees of a world: every nameable object with the box of its visible pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from skyeye_edge.training.data.synthetic.shapes import shape_of
from skyeye_edge.training.data.synthetic.world import Camera, Points, World

_MASK = 512  # edge of the mask that areas are measured on, in cells


@dataclass(frozen=True, slots=True)
class Seen:
    """An object or area in a picture."""

    kind: str
    colour_name: str  # "" where it has none worth saying
    box: tuple[float, float, float, float]  # left, top, right, bottom in units of the width
    on: str = ""
    is_area: bool = False
    whole: float = 1.0  # share of its box that lies inside the picture
    number: int = -1  # position in `World.things` or `World.areas`

    @property
    def middle(self) -> tuple[float, float]:
        """Middle of the box."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def size(self) -> float:
        """Square root of the box's area, in units of the width."""
        left, top, right, bottom = self.box
        return float(((right - left) * (bottom - top)) ** 0.5)


def observe(world: World, camera: Camera) -> tuple[Seen, ...]:
    """All things and named areas with at least a little of them in the picture."""
    return (*_seen_things(world, camera), *_seen_areas(world, camera))


def _seen_things(world: World, camera: Camera) -> list[Seen]:
    seen = []
    for number, thing in enumerate(world.things):
        corners = [corner for face in shape_of(thing).faces for corner in face.corners]
        placed = camera.project(np.array(corners))
        left, top = placed.min(axis=0).tolist()
        right, bottom = placed.max(axis=0).tolist()
        box = max(0.0, left), max(0.0, top), min(1.0, right), min(camera.aspect, bottom)
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        whole = (box[2] - box[0]) * (box[3] - box[1]) / ((right - left) * (bottom - top))
        seen.append(Seen(thing.kind, thing.colour_name, box, thing.on, whole=whole, number=number))
    return seen


def _seen_areas(world: World, camera: Camera) -> list[Seen]:
    seen = []
    for number, area in enumerate(world.areas):
        if not area.named:
            continue
        corners = np.array([(x, y, 0.0) for x, y in area.outline])
        box = _box_inside(camera.project(corners), camera.aspect)
        if box is not None:
            seen.append(Seen(area.kind, area.colour_name, box, is_area=True, number=number))
    return seen


def _box_inside(outline: Points, aspect: float) -> tuple[float, float, float, float] | None:
    """Box of the part of a polygon that lies in the picture; None if there is none."""
    (left, top), (right, bottom) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    if left >= 0 and top >= 0 and right <= 1 and bottom <= aspect:
        return left, top, right, bottom
    mask = Image.new("L", (_MASK, round(_MASK * aspect)))
    ImageDraw.Draw(mask).polygon((outline * _MASK).ravel().tolist(), fill=1)
    cells = mask.getbbox()
    if cells is None:
        return None
    return cells[0] / _MASK, cells[1] / _MASK, cells[2] / _MASK, min(cells[3] / _MASK, aspect)
