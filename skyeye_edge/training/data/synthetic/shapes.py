"""Things as painted polygons: the faces of a car, a building or an aircraft, still in metres."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from skyeye_edge.training.data.synthetic.world import Area, Colour, Point, Thing

Corner = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Face:
    """One flat polygon of a thing."""

    corners: tuple[Corner, ...]  # metres: x, y, height
    colour: Colour
    one_sided: bool = False  # True: painted only when seen from outside (a wall)


@dataclass(frozen=True, slots=True)
class Shape:
    """Faces in painting order, and the solids that cast its shadow."""

    faces: tuple[Face, ...]
    casters: tuple[tuple[tuple[Point, ...], float, float], ...]  # outline, lower and upper height


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor < 1) or lighter."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour)
    return red, green, blue


class _Build:
    """Collects faces in the thing's own axes: a along its length, b across it."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self.cos, self.sin = math.cos(thing.heading), math.sin(thing.heading)
        self.faces: list[Face] = []
        self.casters: list[tuple[tuple[Point, ...], float, float]] = []

    def place(self, a: float, b: float) -> Point:
        thing = self.thing
        return thing.x + a * self.cos - b * self.sin, thing.y + a * self.sin + b * self.cos

    def sheet(
        self, outline: Sequence[Point], height: float, colour: Colour, *, casts: bool = False
    ) -> None:
        """A horizontal polygon; (a, b) pairs, height in metres."""
        placed = tuple(self.place(a, b) for a, b in outline)
        self.faces.append(Face(tuple((x, y, height) for x, y in placed), colour))
        if casts:
            self.casters.append((placed, height, height))

    def slope(self, corners: Sequence[Corner], colour: Colour) -> None:
        """A polygon with a height for each corner; (a, b, height)."""
        self.faces.append(
            Face(tuple((*self.place(a, b), height) for a, b, height in corners), colour, True)
        )

    def prism(
        self, outline: Sequence[Point], low: float, high: float, wall: Colour, top: Colour | None
    ) -> None:
        """Upright walls around an outline, and its lid (None: the caller paints it)."""
        placed = tuple(self.place(a, b) for a, b in outline)
        middle_x = sum(x for x, _ in placed) / len(placed)
        middle_y = sum(y for _, y in placed) / len(placed)
        for (x1, y1), (x2, y2) in zip(placed, placed[1:] + placed[:1], strict=True):
            turn = math.atan2((y1 + y2) / 2 - middle_y, (x1 + x2) / 2 - middle_x)
            colour = shaded(wall, 0.82 + 0.18 * math.cos(turn + 0.9))
            corners = ((x1, y1, high), (x2, y2, high), (x2, y2, low), (x1, y1, low))
            self.faces.append(Face(corners, colour, True))
        if top is not None:
            self.faces.append(Face(tuple((x, y, high) for x, y in placed), top))
        self.casters.append((placed, low, high))

    def done(self) -> Shape:
        return Shape(tuple(self.faces), tuple(self.casters))


def _box(length: float, width: float, a: float = 0.0, b: float = 0.0) -> list[Point]:
    x, y = length / 2, width / 2
    return [(a + x, b - y), (a + x, b + y), (a - x, b + y), (a - x, b - y)]


def _rounded(length: float, width: float, cut: float) -> list[Point]:
    x, y = length / 2, width / 2
    return [
        (x, cut - y), (x, y - cut), (x - cut, y), (cut - x, y),
        (-x, y - cut), (-x, cut - y), (cut - x, -y), (x - cut, -y),
    ]  # fmt: skip


def _circle(radius: float, sides: int = 20, a: float = 0.0, b: float = 0.0) -> list[Point]:
    steps = (2 * math.pi * step / sides for step in range(sides))
    return [(a + radius * math.cos(turn), b + radius * math.sin(turn)) for turn in steps]


_GLASS: Colour = (38, 46, 56)


def _car(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    build.prism(_rounded(length, width, 0.18 * width), 0.2, 0.9, shaded(colour, 0.6), colour)
    build.sheet(
        [
            (0.20 * length, -0.42 * width), (0.20 * length, 0.42 * width),
            (-0.36 * length, 0.40 * width), (-0.36 * length, -0.40 * width),
        ],
        1.05,
        _GLASS,
    )  # fmt: skip
    build.sheet(_box(0.34 * length, 0.78 * width, -0.10 * length), 1.5, shaded(colour, 1.06))
    return build.done()


def _truck(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    cab = 0.2 * length
    build.prism(_box(length, 0.8 * width), 0.3, 0.9, (40, 40, 42), (48, 48, 50))
    front = _box(cab, 0.94 * width, length / 2 - cab / 2)
    build.prism(front, 0.4, 0.75 * thing.height, shaded(colour, 0.55), shaded(colour, 0.8))
    glass = _box(0.22 * cab, 0.84 * width, length / 2 - 0.16 * cab)
    build.sheet(glass, 0.76 * thing.height, _GLASS)
    body = length - cab - 0.06 * length
    trailer = _box(body, width, -length / 2 + body / 2)
    build.prism(trailer, 0.6, thing.height, shaded(colour, 0.65), colour)
    return build.done()


def _bus(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    outline = _rounded(length, width, 0.12 * width)
    build.prism(outline, 0.3, 1.3, shaded(colour, 0.6), None)
    build.prism(outline, 1.3, 2.4, _GLASS, None)
    build.prism(outline, 2.4, thing.height, shaded(colour, 0.75), colour)
    for step in (-0.25, 0.22):
        hatch = _box(0.12 * length, 0.5 * width, step * length)
        build.sheet(hatch, thing.height + 0.1, shaded(colour, 0.72))
    windscreen = _box(0.03 * length, 0.8 * width, 0.475 * length)
    build.sheet(windscreen, thing.height, _GLASS)
    return build.done()


def _boat(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    x, y = length / 2, width / 2
    hull = [
        (x, 0.0), (0.55 * x, 0.7 * y), (0.1 * x, y), (-0.95 * x, 0.85 * y),
        (-x, 0.6 * y), (-x, -0.6 * y), (-0.95 * x, -0.85 * y), (0.1 * x, -y), (0.55 * x, -0.7 * y),
    ]  # fmt: skip
    rim = 0.12 * length / 2
    build.prism(hull, 0.0, rim, shaded(colour, 0.7), colour)
    if thing.style % 3 != 2:
        deck = [(0.72 * a, 0.62 * b) for a, b in hull]
        build.sheet(deck, rim, shaded(colour, 0.84) if thing.style % 3 else (170, 134, 92))
    cabin = _box(0.34 * length, 0.52 * width, -0.08 * length)
    build.prism(cabin, rim, 2.2 * rim, (74, 84, 94), shaded(colour, 1.05))
    return build.done()


def _plane(thing: Thing) -> Shape:
    build, (length, span, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    x, y, body = length / 2, span / 2, 0.055 * length
    low, high = 0.55 * thing.height, thing.height
    dark = shaded(colour, 0.85)
    for side in (-1, 1):
        wing = [
            (0.22 * x, side * body), (-0.34 * x, side * y),
            (-0.48 * x, side * y), (-0.22 * x, side * body),
        ]  # fmt: skip
        build.sheet(wing, low, dark, casts=True)
        tail = [
            (-0.74 * x, side * 0.4 * body), (-0.92 * x, side * 0.36 * y),
            (-x, side * 0.36 * y), (-0.93 * x, side * 0.3 * body),
        ]  # fmt: skip
        build.sheet(tail, low, dark, casts=True)
        engine = _box(0.11 * length, 0.8 * body, 0.06 * x, side * 0.38 * y)
        build.sheet(engine, low, shaded(colour, 0.6))
    fuselage = [
        (x, 0.0), (0.93 * x, 0.6 * body), (0.8 * x, body), (-0.5 * x, body), (-x, 0.25 * body),
        (-x, -0.25 * body), (-0.5 * x, -body), (0.8 * x, -body), (0.93 * x, -0.6 * body),
    ]  # fmt: skip
    build.sheet(fuselage, high, colour, casts=True)
    build.sheet([(0.7 * a, 0.25 * b) for a, b in fuselage], high, shaded(colour, 1.08))
    build.sheet(_box(0.03 * length, body, 0.42 * length), high, _GLASS)
    return build.done()


def _tank(thing: Thing) -> Shape:
    build, colour, radius = _Build(thing), thing.colour, thing.length / 2
    build.prism(_circle(radius), 0.0, thing.height, shaded(colour, 0.7), colour)
    build.sheet(_circle(0.86 * radius), thing.height, shaded(colour, 0.9))
    build.sheet(_circle(0.80 * radius), thing.height, colour)
    stair = _box(0.08 * radius, 0.9 * radius, 0.0, 0.45 * radius)
    build.sheet(stair, thing.height, shaded(colour, 0.6))
    return build.done()


def _building(thing: Thing) -> Shape:
    return _gable(thing) if thing.style % 2 else _flat_roof(thing)


def _flat_roof(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    wall = (150, 142, 130) if thing.style % 4 else (176, 170, 160)
    build.prism(_box(length, width), 0.0, thing.height, wall, shaded(colour, 0.8))
    inner = min(length, width) * 0.07
    build.sheet(_box(length - inner, width - inner), thing.height, colour)
    for a, b in ((0.24, 0.2), (-0.2, -0.22), (-0.3, 0.18))[: 1 + thing.style % 3]:
        hatch = _box(0.13 * length, 0.16 * width, a * length, b * width)
        build.prism(hatch, thing.height, thing.height + 1.2, (110, 110, 110), shaded(colour, 0.72))
    return build.done()


def _gable(thing: Thing) -> Shape:
    build, (length, width, colour) = _Build(thing), (thing.length, thing.width, thing.colour)
    x, y, eaves = length / 2, width / 2, 0.55 * thing.height
    ridge = thing.height
    hip = 0.0 if thing.style % 4 == 1 else 0.45 * y
    build.prism(_box(0.96 * length, 0.94 * width), 0.0, eaves, (186, 178, 164), None)
    for side in (-1, 1):
        along = [
            (x, side * y, eaves), (-x, side * y, eaves),
            (hip - x, 0.0, ridge), (x - hip, 0.0, ridge),
        ]  # fmt: skip
        lit = 1.08 if side * math.sin(thing.heading + 0.6) < 0 else 0.84
        build.slope(along[::-1] if side > 0 else along, shaded(colour, lit))
        end = [(side * x, -y, eaves), (side * x, y, eaves), (side * (x - hip), 0.0, ridge)]
        face = shaded(colour, 0.95) if hip else (172, 164, 150)
        build.slope(end[::-1] if side > 0 else end, face)
    build.casters.append(
        (tuple(build.place(a, b) for a, b in _box(length, 0.6 * width)), eaves, ridge)
    )
    return build.done()


def _pool(thing: Thing) -> Shape:
    build, (length, width) = _Build(thing), (thing.length, thing.width)
    build.sheet(_box(length, width), 0.02, (216, 210, 198))
    build.sheet(_rounded(0.84 * length, 0.74 * width, 0.15 * width), 0.02, thing.colour)
    return build.done()


def _court(thing: Thing) -> Shape:
    build, (length, width) = _Build(thing), (thing.length, thing.width)
    build.sheet(_box(length, width), 0.02, thing.colour)
    build.sheet(_box(0.72 * length, 0.66 * width), 0.02, (232, 232, 226))
    inner = shaded(thing.colour, 1.18)
    for a in (-0.265, -0.09, 0.09, 0.265):
        build.sheet(_box(0.16 * length, 0.62 * width, a * length), 0.02, inner)
    build.sheet(_box(0.015 * length, 0.72 * width), 0.02, (240, 240, 236))
    return build.done()


_SHAPES: dict[str, Callable[[Thing], Shape]] = {
    "boat": _boat,
    "building": _building,
    "bus": _bus,
    "car": _car,
    "plane": _plane,
    "storage tank": _tank,
    "swimming pool": _pool,
    "tennis court": _court,
    "truck": _truck,
}


@lru_cache(maxsize=1024)
def shape_of(thing: Thing) -> Shape:
    """The painted polygons of a thing."""
    return _SHAPES[thing.kind](thing)


def wake_of(thing: Thing) -> tuple[Area, ...]:
    """The two strips of foam behind a moving boat; none for everything else."""
    if thing.kind != "boat" or thing.speed <= 0:
        return ()
    build, unit = _Build(thing), thing.length / 12
    strips = []
    for side in (-1, 1):
        foam = ((3.0, 1.2), (-22.0, 5.0), (-24.0, 3.6), (-4.0, 0.6))
        outline = tuple(build.place(a * unit, side * b * unit) for a, b in foam)
        strips.append(Area("wake", (148, 172, 180), outline, 0.3))
    return tuple(strips)
