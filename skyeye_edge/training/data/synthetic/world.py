"""The values of a procedural world and the camera that looks at it; no pixels, no words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]  # metres on the ground, x to the east, y to the south
Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]

RESERVED_SEEDS = 1_000_000  # seeds from here up are for evaluation; no trainer may draw them


@dataclass(frozen=True, slots=True)
class Area:
    """A flat polygon of the ground: water, a field, a road, or only a painted line."""

    kind: str
    colour: Colour
    outline: tuple[Point, ...]
    roughness: float = 0.3  # how strongly the ground texture shows, 0..1
    named: bool = False  # False: nobody speaks of it (markings, verges)
    colour_name: str = ""
    stripes: int = 0  # furrows between its first and its third edge (four corners only)


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that stands, drives, floats or is parked on the ground."""

    kind: str
    colour_name: str
    colour: Colour
    x: float
    y: float
    heading: float  # radians; its length points this way
    length: float  # metres
    width: float
    height: float
    on: str = ""  # the kind of area below it, "" where that is the terrain
    style: int = 0  # which variant of its kind
    speed: float = 0.0  # metres per second along the heading (videos; wakes of boats)


@dataclass(frozen=True, slots=True)
class Tree:
    """A round crown; part of the background and never counted."""

    x: float
    y: float
    radius: float
    shade: float  # 0 dark .. 1 light


@dataclass(frozen=True, slots=True)
class World:
    """Everything that can be seen, independent of who looks."""

    theme: str
    terrain: str
    colour: Colour
    roughness: float
    areas: tuple[Area, ...]  # painted in this order
    things: tuple[Thing, ...]
    trees: tuple[Tree, ...]
    tree_colour: Colour = (58, 84, 44)
    sun: Point = (0.5, 0.4)  # where a shadow of height 1 m ends, metres
    shadow: float = 0.45  # 0: none, 1: black
    texture: tuple[float, float, float] = (0.0, 0.0, 0.1)  # offset x, y in texels; metres a texel


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole above the ground; image coordinates are in units of the image's *width*."""

    x: float = 0.0  # the ground point in the middle of the image
    y: float = 0.0
    heading: float = 0.0  # radians, turns the picture
    across: float = 100.0  # metres across the middle of the image
    tilt: float = 0.0  # radians from nadir
    distance: float = 2.5  # from the middle of the image, in units of `across`
    aspect: float = 1.0  # height / width of the image

    def project(self, points: Points) -> Points:
        """(N, 3) metres (x, y, height) to (N, 2) image coordinates (u 0..1, v 0..aspect)."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        east, south, height = points[:, 0] - self.x, points[:, 1] - self.y, points[:, 2]
        right = cos * east + sin * south
        down = cos * south - sin * east
        tall, flat = math.sin(self.tilt), math.cos(self.tilt)
        far = self.distance * self.across
        scale = self.distance / (far - down * tall - height * flat)
        out = np.empty((len(points), 2))
        out[:, 0] = 0.5 + right * scale
        out[:, 1] = self.aspect / 2 + (down * flat - height * tall) * scale
        return out

    def ground(self, u: float, v: float) -> Point:
        """The ground point that is seen at image coordinates (u, v)."""
        right, down = u - 0.5, v - self.aspect / 2
        tall, flat = math.sin(self.tilt), math.cos(self.tilt)
        south = down * self.distance * self.across / (self.distance * flat + down * tall)
        scale = self.distance / (self.distance * self.across - south * tall)
        east = right / scale
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        return self.x + cos * east - sin * south, self.y + sin * east + cos * south

    def ground_matrix(self) -> Points:
        """(3, 3) homography from ground (x, y, 1) to image coordinates (u w, v w, w)."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        tall, flat = math.sin(self.tilt), math.cos(self.tilt)
        turn = np.array(
            [
                [cos, sin, -cos * self.x - sin * self.y],
                [-sin, cos, sin * self.x - cos * self.y],
                [0.0, 0.0, 1.0],
            ]
        )
        middle = self.aspect / 2
        far = self.distance * self.across
        look = np.array(
            [
                [self.distance, -0.5 * tall, 0.5 * far],
                [0.0, self.distance * flat - middle * tall, middle * far],
                [0.0, -tall, far],
            ]
        )
        return np.asarray(look @ turn)


def rectangle(x: float, y: float, heading: float, length: float, width: float) -> tuple[Point, ...]:
    """The four corners of a turned rectangle around (x, y), metres."""
    ax, ay = math.cos(heading) * length / 2, math.sin(heading) * length / 2
    bx, by = -math.sin(heading) * width / 2, math.cos(heading) * width / 2
    return (
        (x + ax - bx, y + ay - by),
        (x + ax + bx, y + ay + by),
        (x - ax + bx, y - ay + by),
        (x - ax - bx, y - ay - by),
    )


def hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Convex hull by Andrew's monotone chain."""
    ordered = sorted(set(points))
    chains: list[list[tuple[float, float]]] = []
    for sequence in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for x, y in sequence:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (y - chain[-2][1])
                <= (chain[-1][1] - chain[-2][1]) * (x - chain[-2][0])
            ):
                chain.pop()
            chain.append((x, y))
        chains.append(chain[:-1])
    return chains[0] + chains[1]
