"""The kinds of places: each theme grows one world of its own sort."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from skyeye_edge.training.data.synthetic.palette import ground_of, varied
from skyeye_edge.training.data.synthetic.parts import (
    blob,
    build_houses,
    drive,
    lay_fields,
    lay_road,
    lay_water,
    sail,
)
from skyeye_edge.training.data.synthetic.plot import Plot
from skyeye_edge.training.data.synthetic.world import Camera, Point, World, hull, rectangle


@dataclass(frozen=True, slots=True)
class Theme:
    """A kind of place and how far away the camera is."""

    grow: Callable[[Plot], str]  # returns the terrain
    across: tuple[float, float]  # metres
    setting: str  # "urban", "rural" or "" where neither is certain
    weight: int = 2


def _any_heading(plot: Plot) -> float:
    return plot.rng.uniform(0, 2 * math.pi)


def _open_country(plot: Plot) -> str:
    return plot.rng.choice(("grass", "grass", "dry grass", "bare soil", "snow"))


def _road(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    width = across * rng.uniform(0.2, 0.3)
    road = lay_road(plot, plot.spot(0.35, 0.65), _any_heading(plot), width)
    scale = width / 9.5
    drive(plot, road, ("car", "car", "truck", "bus"), rng.randint(2, 6), scale)
    build_houses(plot, rng.randint(0, 2), heading=road.heading, scale=0.55 * scale)
    plot.wood(rng.randrange(30), low=0.02 * across, high=0.045 * across)
    return _open_country(plot)


def _crossing(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    width = across * rng.uniform(0.15, 0.22)
    middle, heading = plot.spot(0.35, 0.65), _any_heading(plot)
    other = heading + math.pi / 2 + rng.uniform(-0.2, 0.2)
    first = lay_road(plot, middle, heading, width)
    second = lay_road(plot, middle, other, width)
    square = rectangle(*middle, heading, 1.25 * width, 1.25 * width)
    plot.area("crossing", plot.areas[1].colour, square, roughness=0.14, named=True)
    scale = width / 9.0
    for road in (first, second):
        drive(plot, road, ("car", "car", "truck", "bus"), rng.randint(1, 3), scale)
    build_houses(plot, rng.randint(1, 3), heading=heading, scale=0.6 * scale, pitched=0.3)
    plot.wood(rng.randrange(20), low=0.02 * across, high=0.04 * across)
    return rng.choice(("grass", "pavement", "pavement", "dry grass"))


def _parking(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    middle, heading = plot.spot(0.4, 0.6), _any_heading(plot)
    slot = across / rng.uniform(7.5, 11.0)
    rows, columns = rng.randint(1, 2), rng.randint(4, 7)
    deep = 2.0 * slot
    size = (columns + 0.7) * slot, rows * deep + (rows + 0.35) * 0.6 * deep
    lot = rectangle(*middle, heading, *size)
    asphalt, roughness = ground_of("asphalt", rng)
    plot.area("parking lot", asphalt, lot, roughness=roughness, named=True)
    plot.keep_free(lot)
    cos, sin = math.cos(heading), math.sin(heading)
    wanted = rng.uniform(0.15, 0.6)
    for row in range(rows):
        across_row = (row - (rows - 1) / 2) * 1.5 * deep
        for column in range(columns + 1):
            along = (column - columns / 2) * slot
            line = along * cos - across_row * sin, along * sin + across_row * cos
            at = middle[0] + line[0], middle[1] + line[1]
            plot.area(
                "marking", (218, 218, 210), rectangle(*at, heading + math.pi / 2, deep, 0.06 * slot)
            )
            at = at[0] + 0.5 * slot * cos, at[1] + 0.5 * slot * sin
            if column < columns and rng.random() < wanted and len(plot.things) < 6:
                turn = heading + rng.choice((-1, 1)) * math.pi / 2 + rng.gauss(0, 0.03)
                plot.put("car", at, turn, on="parking lot", scale=slot / 2.75)
    build_houses(plot, rng.randint(0, 2), heading=heading, scale=0.5 * slot / 2.75, pitched=0.1)
    plot.wood(rng.randrange(16), low=0.025 * across, high=0.05 * across)
    return rng.choice(("grass", "pavement", "grass", "dry grass"))


def _residential(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    if rng.random() < 0.7:
        road = lay_road(plot, plot.spot(0.2, 0.8), heading, 0.1 * across)
        drive(plot, road, ("car",), rng.randint(0, 2), across / 55)
    build_houses(plot, rng.randint(3, 6), heading=heading, scale=across / 80)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        plot.put("swimming pool", plot.spot(), heading, scale=across / 75)
    if rng.random() < 0.2:
        plot.put("tennis court", plot.spot(0.2, 0.8), heading, scale=across / 100)
    plot.wood(rng.randint(10, 60), low=0.018 * across, high=0.045 * across)
    return rng.choice(("grass", "grass", "grass", "dry grass", "snow"))


def _industrial(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    if rng.random() < 0.6:
        road = lay_road(plot, plot.spot(0.1, 0.9), heading, 0.11 * across)
        drive(plot, road, ("truck", "truck", "car"), rng.randint(1, 3), across / 70)
    for _ in range(rng.choice((0, 1, 2, 3, 4))):
        plot.put("storage tank", plot.spot(), heading, scale=across / rng.uniform(85, 120))
    build_houses(plot, rng.randint(1, 3), heading=heading, scale=across / 70, pitched=0.15)
    plot.wood(rng.randrange(12), low=0.015 * across, high=0.03 * across)
    return rng.choice(("pavement", "pavement", "grass", "bare soil"))


def _airport(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    concrete, roughness = ground_of("concrete", rng)
    middle = plot.spot(0.4, 0.6)
    plot.area(
        "apron",
        concrete,
        rectangle(*middle, heading, across * rng.uniform(0.8, 1.6), across * rng.uniform(0.6, 1.0)),
        roughness=roughness,
    )
    if rng.random() < 0.5:
        lay_road(plot, plot.spot(0.05, 0.95), heading, 0.13 * across, kind="runway")
    for _ in range(rng.randint(1, 5)):
        turn = heading + rng.choice((0.5, -0.5, 1.0)) * math.pi + rng.gauss(0, 0.15)
        plot.put("plane", plot.spot(0.12, 0.88), turn, scale=across / rng.uniform(120, 190))
    if rng.random() < 0.4:
        build_houses(plot, 1, heading=heading, scale=across / 90, pitched=0.0)
    if rng.random() < 0.4:
        plot.put("truck", plot.spot(), heading, scale=across / 110)
    return rng.choice(("grass", "dry grass", "grass"))


def _farmland(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    lay_fields(plot, heading, across * rng.uniform(0.22, 0.45))
    if rng.random() < 0.65:
        paved = rng.random() < 0.6
        road = lay_road(plot, plot.spot(0.2, 0.8), heading, 0.09 * across, paved=paved)
        drive(plot, road, ("car", "truck"), rng.randint(0, 2), across / 50)
    else:
        pond = blob(plot, plot.spot(0.25, 0.75), across * rng.uniform(0.09, 0.16))
        lay_water(plot, "pond", pond, varied((122, 112, 82), rng))
        plot.keep_free(tuple(hull(pond)))
    build_houses(plot, rng.randint(1, 4), heading=heading, scale=across / 95, pitched=0.9)
    plot.wood(rng.randrange(25), low=0.015 * across, high=0.035 * across)
    return rng.choice(("grass", "dry grass", "bare soil"))


def _lake(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    middle = plot.spot(0.35, 0.65)
    water = blob(plot, middle, across * rng.uniform(0.26, 0.4), rng.uniform(0.65, 1.0))
    lay_water(plot, "lake", water, varied((138, 126, 92), rng))
    plot.keep_free(tuple(hull(water)))
    sail(plot, "lake", water, rng.randint(1, 5), heading=None, scale=across / rng.uniform(75, 110))
    build_houses(plot, rng.randint(0, 3), heading=_any_heading(plot), scale=across / 120)
    plot.wood(rng.randint(5, 60), low=0.02 * across, high=0.045 * across)
    return rng.choice(("grass", "grass", "dry grass", "forest"))


def _river(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading, width = _any_heading(plot), across * rng.uniform(0.26, 0.42)
    middle = plot.spot(0.35, 0.65)
    bend, phase = rng.uniform(0.0, 0.1) * across, rng.uniform(0, 6)
    cos, sin = math.cos(heading), math.sin(heading)
    left: list[Point] = []
    right: list[Point] = []
    for step in range(-16, 17):
        along = step * across / 10
        side = bend * math.sin(3.2 * along / across + phase)
        for bank, offset in ((left, side - width / 2), (right, side + width / 2)):
            bank.append(
                (middle[0] + along * cos - offset * sin, middle[1] + along * sin + offset * cos)
            )
    water = tuple(left + right[::-1])
    lay_water(plot, "river", water, None)
    plot.keep_free(rectangle(*middle, heading, 4 * across, width + 2 * bend))
    if rng.random() < 0.4:
        bridge = lay_road(
            plot, plot.spot(0.3, 0.7), heading + math.pi / 2, 0.1 * across, kind="bridge"
        )
        drive(plot, bridge, ("car", "truck"), rng.randint(0, 2), across / 60)
        plot.occupy(bridge.outline)
    sail(plot, "river", water, rng.randint(1, 4), heading=heading, scale=across / 85)
    build_houses(plot, rng.randint(0, 3), heading=heading, scale=across / 100)
    plot.wood(rng.randint(5, 50), low=0.02 * across, high=0.045 * across)
    return rng.choice(("grass", "grass", "dry grass", "forest"))


def _coast(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    middle = plot.spot(0.3, 0.7)
    cos, sin = math.cos(heading), math.sin(heading)
    phase, wave = rng.uniform(0, 6), rng.uniform(0.02, 0.07) * across
    shore = []
    for step in range(-16, 17):
        along = step * across / 10
        side = wave * math.sin(4 * along / across + phase) + 0.4 * wave * math.sin(
            9 * along / across + 2 * phase
        )
        shore.append((along, side))

    def strip(near: float, far: float) -> tuple[tuple[float, float], ...]:
        edge = [(a, b + near) for a, b in shore] + [(a, b + far) for a, b in shore[::-1]]
        return tuple(
            (middle[0] + a * cos - b * sin, middle[1] + a * sin + b * cos) for a, b in edge
        )

    sand, roughness = ground_of("sand", rng)
    beach = across * rng.uniform(0.08, 0.2)
    plot.area("beach", sand, strip(-beach, 0.0), roughness=roughness, named=True)
    water, calm = ground_of("water", rng)
    sea = strip(0.0, 3 * across)
    plot.area("sea", water, sea, roughness=calm, named=True)
    plot.area("foam", (206, 216, 214), strip(-0.006 * across, 0.012 * across), roughness=0.2)
    plot.keep_free((sea[0], sea[32], sea[33], sea[65]))
    sail(plot, "sea", sea, rng.randint(1, 5), heading=None, scale=across / rng.uniform(80, 120))
    build_houses(plot, rng.randint(0, 3), heading=heading, scale=across / 110)
    plot.wood(rng.randint(0, 40), low=0.018 * across, high=0.04 * across)
    return rng.choice(("grass", "grass", "dry grass", "sand"))


def _forest(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    if rng.random() < 0.7:
        paved = rng.random() < 0.6
        road = lay_road(plot, plot.spot(0.3, 0.7), _any_heading(plot), 0.12 * across, paved=paved)
        drive(plot, road, ("car", "truck"), rng.randint(0, 3), across / 60)
    build_houses(plot, rng.choice((0, 1, 2, 3)), heading=_any_heading(plot), scale=across / 90)
    plot.wood(rng.randint(130, 180), low=0.025 * across, high=0.05 * across)
    return "forest"


def _desert(plot: Plot) -> str:
    rng, across = plot.rng, plot.camera.across
    heading = _any_heading(plot)
    if rng.random() < 0.6:
        paved = rng.random() < 0.6
        road = lay_road(plot, plot.spot(0.2, 0.8), heading, 0.13 * across, paved=paved)
        drive(plot, road, ("car", "truck"), rng.randint(1, 3), across / 55)
    build_houses(plot, rng.randint(0, 3), heading=heading, scale=across / 90, pitched=0.1)
    for _ in range(rng.randrange(3)):
        plot.put("truck", plot.spot(), _any_heading(plot), scale=across / 60)
    return "sand"


THEMES: dict[str, Theme] = {
    "airport": Theme(_airport, (140, 260), ""),
    "coast": Theme(_coast, (70, 160), "", 3),
    "crossing": Theme(_crossing, (36, 70), "urban", 3),
    "desert": Theme(_desert, (50, 130), "rural", 1),
    "farmland": Theme(_farmland, (80, 200), "rural", 3),
    "forest": Theme(_forest, (60, 130), "rural"),
    "industrial area": Theme(_industrial, (80, 160), "urban", 3),
    "lake": Theme(_lake, (60, 150), "rural"),
    "parking lot": Theme(_parking, (22, 40), "urban", 3),
    "residential area": Theme(_residential, (60, 120), "urban", 3),
    "river": Theme(_river, (60, 140), "", 3),
    "road": Theme(_road, (26, 60), "", 4),
}
_NAMES = tuple(THEMES)
_WEIGHTS = tuple(theme.weight for theme in THEMES.values())


def grow_scene(seed: int) -> tuple[World, Camera]:
    """The world of a seed and the camera that takes its picture."""
    rng = random.Random(f"skyeye world {seed}")  # noqa: S311 - repeatable, not secret
    name = rng.choices(_NAMES, _WEIGHTS)[0]
    theme = THEMES[name]
    tilt = rng.uniform(0.0, 0.1) if rng.random() < 0.6 else rng.uniform(0.25, 0.75)
    camera = Camera(across=rng.uniform(*theme.across), tilt=tilt, distance=rng.uniform(1.8, 4.0))
    plot = Plot(rng, camera)
    terrain = theme.grow(plot)
    colour, roughness = ground_of(terrain, rng)
    trees = varied((220, 224, 228) if terrain == "snow" else (62, 88, 46), rng, 0.1)
    return plot.world(name, terrain, colour, roughness, trees), camera
