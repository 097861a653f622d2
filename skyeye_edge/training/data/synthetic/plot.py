"""A world under construction: places things where they fit and are seen whole."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Spot:
    """A convex outline in image coordinates with its box, which settles most comparisons."""

    outline: Outline
    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, outline: Outline) -> _Spot:
        us, vs = [u for u, _ in outline], [v for _, v in outline]
        return cls(outline, min(us), min(vs), max(us), max(vs))

    def clear_of(self, other: _Spot) -> bool:
        return (
            self.right < other.left
            or other.right < self.left
            or self.bottom < other.top
            or other.bottom < self.top
            or apart(self.outline, other.outline)
        )


class Plot:
    """Grows a world; outlines of what stands already are kept in image coordinates."""

    def __init__(self, rng: random.Random, camera: Camera) -> None:
        self.rng, self.camera = rng, camera
        self.areas: list[Area] = []
        self.things: list[Thing] = []
        self.trees: list[Tree] = []
        self._taken: list[_Spot] = []
        self._kept_free: list[_Spot] = []

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
        self.areas.append(Area(kind, colour, outline, roughness, named, colour_name, stripes))

    def keep_free(self, outline: Outline) -> None:
        """Nothing placed with `on=""` may touch this convex outline (a road, a lake)."""
        self._kept_free.append(self._spot_of(outline))

    def occupy(self, outline: Outline) -> None:
        """Nothing at all placed later may touch this convex outline (a bridge above water)."""
        self._taken.append(self._spot_of(outline))

    def _spot_of(self, outline: Outline) -> _Spot:
        return _Spot.around(self.outline_in_image((x, y, 0.0) for x, y in outline))

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
        length, width, height = size or (rng.uniform(a, b) for a, b in zip(low, high, strict=True))
        length, width, height = length * scale, width * scale, height * scale
        margin = CLASSES[kind].margin * min(length, width)
        corners = rectangle(*at, heading, length + margin, width + margin)
        spot = _Spot.around(self._hull_in_image(corners, height))
        if not self._is_free(spot, on):
            return False
        name = colour_name or rng.choice(CLASSES[kind].colours)
        style = rng.randrange(1000) if style is None else style
        colour = paint_of(kind, name, rng)
        self.things.append(
            Thing(kind, name, colour, *at, heading, length, width, height, on, style, speed)
        )
        self._taken.append(spot)
        return True

    def _hull_in_image(self, corners: Sequence[Point], height: float) -> Outline:
        base = self.outline_in_image((x, y, 0.0) for x, y in corners)
        top = self.outline_in_image((x, y, height) for x, y in corners)
        return tuple(hull(base + top))

    def _is_free(self, spot: _Spot, on: str) -> bool:
        edge, end = 0.012, self.camera.aspect - 0.012
        if spot.left < edge or spot.top < edge or spot.right > 1 - edge or spot.bottom > end:
            return False
        blocked = self._taken if on else self._taken + self._kept_free
        return all(spot.clear_of(other) for other in blocked)

    def wood(self, number: int, *, low: float, high: float) -> None:
        """Trees of radius `low`..`high` metres wherever they hide nothing."""
        rng, aspect = self.rng, self.camera.aspect
        trees = []
        for _ in range(number):
            u, v = rng.uniform(-0.05, 1.05), rng.uniform(-0.05, 1.05) * aspect
            trees.append(Tree(*self.camera.ground(u, v), rng.uniform(low, high), rng.random()))
        if not trees:
            return
        corners = [
            (x, y, height)
            for tree in trees
            for x, y in rectangle(tree.x, tree.y, 0.0, 2 * tree.radius, 2 * tree.radius)
            for height in (0.0, 2 * tree.radius)
        ]
        placed = self.camera.project(np.array(corners)).reshape(number, 8, 2)
        for tree, least, most in zip(
            trees, placed.min(axis=1).tolist(), placed.max(axis=1).tolist(), strict=True
        ):
            (left, top), (right, bottom) = least, most
            square = ((right, top), (right, bottom), (left, bottom), (left, top))
            crown = _Spot(square, left, top, right, bottom)
            if all(crown.clear_of(other) for other in self._taken + self._kept_free):
                self.trees.append(tree)

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
