"""Pieces that several themes share: roads with traffic, water with boats, fields, houses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from skyeye_edge.training.data.synthetic.palette import ground_of, varied
from skyeye_edge.training.data.synthetic.plot import Outline, Plot, contains
from skyeye_edge.training.data.synthetic.world import Colour, Point, rectangle


@dataclass(frozen=True, slots=True)
class Road:
    """A straight road through a point."""

    x: float
    y: float
    heading: float
    length: float
    width: float

    def at(self, along: float, across: float) -> Point:
        """The point `along` metres from the middle and `across` to the right."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        return self.x + along * cos - across * sin, self.y + along * sin + across * cos

    @property
    def outline(self) -> Outline:
        """Its four corners."""
        return rectangle(self.x, self.y, self.heading, self.length, self.width)


def lay_road(
    plot: Plot,
    middle: Point,
    heading: float,
    width: float,
    *,
    kind: str = "road",
    paved: bool = True,
) -> Road:
    """A road across the whole picture; the verge and the dashes belong to it."""
    road = Road(*middle, heading, 4.0 * plot.camera.across, width)
    verge = rectangle(*middle, heading, road.length, width * 1.3)
    grey, roughness = ground_of("asphalt" if paved else "bare soil", plot.rng)
    if paved:
        plot.area("verge", varied((150, 144, 132), plot.rng), verge, roughness=0.25)
    plot.area(kind, grey, road.outline, roughness=roughness, named=True)
    if paved and width > 5.5:
        _dash(plot, road)
    plot.keep_free(verge)
    return road


def _dash(plot: Plot, road: Road) -> None:
    step = max(6.0, plot.camera.across / 22)
    for index in range(-26, 27):
        line = rectangle(*road.at(index * step, 0.0), road.heading, 0.5 * step, 0.045 * road.width)
        plot.area("marking", (222, 222, 214), line, roughness=0.1)


def drive(plot: Plot, road: Road, kinds: tuple[str, ...], number: int, scale: float = 1.0) -> None:
    """Up to `number` vehicles in both lanes of a road."""
    rng = plot.rng
    for _ in range(number * 4):
        if number <= 0:
            return
        side = rng.choice((-1, 1))
        along = rng.uniform(-0.6, 0.6) * plot.camera.across
        heading = road.heading + (math.pi if side < 0 else 0.0)
        at = road.at(along, side * road.width / 4)
        number -= plot.put(rng.choice(kinds), at, heading, on="road", scale=scale, speed=8.0)


def lay_water(plot: Plot, kind: str, outline: Outline, shore: Colour | None) -> None:
    """Water with a shore line around it."""
    water, roughness = ground_of("water", plot.rng)
    if shore is not None:
        x = sum(x for x, _ in outline) / len(outline)
        y = sum(y for _, y in outline) / len(outline)
        wider = tuple((x + 1.05 * (a - x), y + 1.05 * (b - y)) for a, b in outline)
        plot.area("shore", shore, wider)
    plot.area(kind, water, outline, roughness=roughness, named=True)


def blob(plot: Plot, middle: Point, radius: float, flat: float = 1.0) -> Outline:
    """A closed smooth outline, a lake for example."""
    rng = plot.rng
    waves = [(rng.uniform(0.03, 0.16), rng.uniform(0, 6.28), k) for k in (2, 3, 4, 5)]
    turn = rng.uniform(0, math.pi)
    outline = []
    for step in range(36):
        angle = 2 * math.pi * step / 36
        r = radius * (1 + sum(a * math.cos(k * angle + p) for a, p, k in waves))
        x, y = r * math.cos(angle), r * flat * math.sin(angle)
        outline.append(
            (
                middle[0] + x * math.cos(turn) - y * math.sin(turn),
                middle[1] + x * math.sin(turn) + y * math.cos(turn),
            )
        )
    return tuple(outline)


def sail(
    plot: Plot, on: str, water: Outline, number: int, *, heading: float | None, scale: float
) -> None:
    """Up to `number` boats on the water, some with a wake."""
    rng = plot.rng
    for _ in range(number * 6):
        if number <= 0:
            return
        at = plot.spot()
        turn = (
            rng.uniform(0, 2 * math.pi) if heading is None else heading + rng.choice((0, math.pi))
        )
        turn += rng.gauss(0, 0.1)
        cos, sin = math.cos(turn), math.sin(turn)
        reach = 9.0 * scale
        ends = [(at[0] + k * reach * cos, at[1] + k * reach * sin) for k in (-1, 1)]
        if not all(contains(water, end) for end in ends):
            continue
        tail = at[0] - 20 * scale * cos, at[1] - 20 * scale * sin
        speed = rng.choice((0.0, 4.0)) if contains(water, tail) else 0.0
        number -= plot.put("boat", at, turn, on=on, scale=scale, speed=speed)


def build_houses(
    plot: Plot, number: int, *, heading: float, scale: float = 1.0, pitched: float = 0.7
) -> None:
    """Up to `number` buildings that stand along one grid direction."""
    rng = plot.rng
    for _ in range(number * 6):
        if number <= 0:
            return
        style = 2 * rng.randrange(500) + (rng.random() < pitched)
        turn = heading + rng.choice((0.0, math.pi / 2)) + rng.gauss(0, 0.03)
        number -= plot.put("building", plot.spot(), turn, scale=scale, style=style)


def lay_fields(plot: Plot, heading: float, edge: float) -> None:
    """A patchwork of cropped fields over the whole ground."""
    rng = plot.rng
    crops: tuple[Colour, ...] = (
        (92, 128, 56), (122, 150, 70), (168, 154, 88), (140, 110, 80), (72, 106, 52),
    )  # fmt: skip
    middle = plot.seen(0.5, 0.5)
    patch = Road(*middle, heading, 1.0, 1.0)
    reach = 1.6 * plot.camera.across
    across = -reach
    while across < reach:
        width = edge * rng.uniform(0.7, 1.3)
        along = -reach + rng.uniform(0, edge)
        while along < reach:
            length = edge * rng.uniform(0.8, 1.8)
            at = patch.at(along + length / 2, across + width / 2)
            outline = rectangle(*at, heading, length * 0.975, width * 0.965)
            stripes = rng.choice((0, 0, 8, 14))
            colour = varied(rng.choice(crops), rng)
            plot.area("field", colour, outline, roughness=0.25, stripes=stripes)
            along += length
        across += width
