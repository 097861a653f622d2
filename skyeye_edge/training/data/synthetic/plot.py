"""A world under construction: places things where they fit and are seen whole."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np

from skyeye_edge.training.data.synthetic.palette import CLASSES, paint_of
from skyeye_edge.training.data.synthetic.world import (
    Area,
    Camera,
    Colour,
    Point,
    Thing,
    Tree,
    World,
    hull,
    rectangle,
)

Outline = tuple[Point, ...]


def apart(first: Sequence[Point], second: Sequence[Point]) -> bool:
    """Whether two convex outlines have no common point (separating axis)."""
    return _has_gap(first, second) or _has_gap(second, first)


def _has_gap(first: Sequence[Point], second: Sequence[Point]) -> bool:
    for (x1, y1), (x2, y2) in zip(first, (*first[1:], first[0]), strict=True):
        across, along = y1 - y2, x2 - x1
        mine = [across * x + along * y for x, y in first]
        theirs = [across * x + along * y for x, y in second]
        if max(mine) < min(theirs) or max(theirs) < min(mine):
            return True
    return False


class Plot:
    """Grows a world; outlines of what stands already are kept in image coordinates."""

    def __init__(self, rng: random.Random, camera: Camera) -> None:
        self.rng, self.camera = rng, camera
        self.areas: list[Area] = []
        self.things: list[Thing] = []
        self.trees: list[Tree] = []
        self._taken: list[Outline] = []
        self._kept_free: list[Outline] = []

    # -- where -------------------------------------------------------------

    def spot(self, low: float = 0.08, high: float = 0.92) -> Point:
        """A random ground point inside the middle of the picture."""
        u = self.rng.uniform(low, high)
        v = self.rng.uniform(low, high) * self.camera.aspect
        return self.camera.ground(u, v)

    def seen(self, u: float, v: float) -> Point:
        """The ground point at image coordinates (u, v)."""
        return self.camera.ground(u, v)

    def outline_in_image(self, corners: Iterable[tuple[float, float, float]]) -> Outline:
        """Ground points with height to image coordinates."""
        placed = self.camera.project(np.array(list(corners)))
        return tuple((u, v) for u, v in placed.tolist())

    # -- what --------------------------------------------------------------

    def area(
        self,
        kind: str,
        colour: Colour,
        outline: Outline,
        *,
        roughness: float = 0.3,
        named: bool = False,
        colour_name: str = "",
        stripes: int = 0,
    ) -> None:
        """Paint a piece of ground over what lies there."""
        self.areas.append(
            Area(kind, colour, outline, roughness, named, colour_name, stripes)
        )

    def keep_free(self, outline: Outline) -> None:
        """Nothing placed with `on=""` may touch this convex outline (a road, a lake)."""
        self._kept_free.append(self.outline_in_image((x, y, 0.0) for x, y in outline))

    def put(
        self,
        kind: str,
        at: Point,
        heading: float,
        *,
        on: str = "",
        colour_name: str | None = None,
        scale: float = 1.0,
        size: tuple[float, float, float] | None = None,
        style: int | None = None,
        speed: float = 0.0,
    ) -> bool:
        """Add a thing if it is seen whole and clear of the others; False if there is no room."""
        rng = self.rng
        low, high = CLASSES[kind].sizes
        length, width, height = size or (
            rng.uniform(a, b) for a, b in zip(low, high, strict=True)
        )
        length, width, height = length * scale, width * scale, height * scale
        margin = CLASSES[kind].margin * min(length, width)
        corners = rectangle(*at, heading, length + margin, width + margin)
        outline = self._hull_in_image(corners, height)
        if not self._is_free(outline, on):
            return False
        name = colour_name or rng.choice(CLASSES[kind].colours)
        style = rng.randrange(1000) if style is None else style
        colour = paint_of(kind, name, rng)
        self.things.append(
            Thing(kind, name, colour, *at, heading, length, width, height, on, style, speed)
        )
        self._taken.append(outline)
        return True

    def _hull_in_image(self, corners: Sequence[Point], height: float) -> Outline:
        base = self.outline_in_image((x, y, 0.0) for x, y in corners)
        top = self.outline_in_image((x, y, height) for x, y in corners)
        return tuple(hull(base + top))

    def _is_free(self, outline: Outline, on: str) -> bool:
        edge = 0.012
        top = self.camera.aspect - edge
        if not all(edge < u < 1 - edge and edge < v < top for u, v in outline):
            return False
        blocked = self._taken if on else self._taken + self._kept_free
        return all(apart(outline, other) for other in blocked)

    def wood(self, number: int, *, low: float, high: float, inside: Outline | None = None) -> None:
        """Trees of radius `low`..`high` metres wherever they hide nothing."""
        rng = self.rng
        for _ in range(number):
            x, y = self.camera.ground(
                rng.uniform(-0.05, 1.05), rng.uniform(-0.05, 1.05) * self.camera.aspect
            )
            if inside is not None and not contains(inside, (x, y)):
                continue
            radius = rng.uniform(low, high)
            crown = rectangle(x, y, 0.0, 2 * radius, 2 * radius)
            outline = self._hull_in_image(crown, 2 * radius)
            if all(apart(outline, other) for other in self._taken + self._kept_free):
                self.trees.append(Tree(x, y, radius, rng.random()))

    def world(
        self, theme: str, terrain: str, colour: Colour, roughness: float, tree_colour: Colour
    ) -> World:
        """The finished world."""
        rng = self.rng
        turn, long = rng.uniform(0, 2 * math.pi), rng.uniform(0.25, 1.1)
        return World(
            theme=theme,
            terrain=terrain,
            colour=colour,
            roughness=roughness,
            areas=tuple(self.areas),
            things=tuple(self.things),
            trees=tuple(self.trees),
            tree_colour=tree_colour,
            sun=(long * math.cos(turn), long * math.sin(turn)),
            shadow=rng.choice((0.0, 0.3, 0.45, 0.55)),
            texture=(
                rng.uniform(400, 620),
                rng.uniform(400, 620),
                self.camera.across * rng.uniform(2.4, 5.0) / 512,
            ),
        )


def contains(outline: Sequence[Point], at: Point) -> bool:
    """Whether a point lies in a polygon (even-odd rule)."""
    x, y = at
    inside = False
    for (x1, y1), (x2, y2) in zip(outline, (*outline[1:], outline[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside
