"""A larger world with moving traffic, and the flight of a camera over it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from skyeye_edge.training.data.synthetic.palette import ground_of, varied
from skyeye_edge.training.data.synthetic.parts import Road, build_houses, lay_road, lay_water
from skyeye_edge.training.data.synthetic.plot import Plot
from skyeye_edge.training.data.synthetic.world import Camera, Point, World, rectangle

_ACROSS = 96.0  # metres across the picture
_TRAFFIC = 8.0  # metres per second; all traffic is equally fast, so that nobody runs into another
_BOATS = 2.5
_CAMERA = 7.0


@dataclass(frozen=True, slots=True)
class Flight:
    """A world in motion under a camera that follows the road."""

    world: World  # at time 0
    camera: Camera  # at time 0
    velocity: Point  # of the camera, metres per second

    def at(self, time: float) -> tuple[World, Camera]:
        """World and camera after `time` seconds."""
        things = tuple(
            replace(
                thing,
                x=thing.x + thing.speed * time * math.cos(thing.heading),
                y=thing.y + thing.speed * time * math.sin(thing.heading),
            )
            if thing.speed
            else thing
            for thing in self.world.things
        )
        east, south = self.velocity
        camera = replace(
            self.camera,
            x=self.camera.x + east * time,
            y=self.camera.y + south * time,
            across=self.camera.across * (1 + 0.05 * math.sin(0.5 * time)),
        )
        return replace(self.world, things=things), camera


def plan_flight(seed: int, seconds: float, aspect: float) -> Flight:
    """A road with a red car, a river with boats, and buildings, long enough for the flight."""
    rng = random.Random(f"skyeye flight {seed}")  # noqa: S311 - repeatable, not secret
    side = rng.choice((-1, 1))  # on which side of the road the river lies
    ahead = (_CAMERA + 2 * _TRAFFIC) * seconds
    tilt, heading = rng.uniform(0.2, 0.4), rng.choice((-1, 1)) * rng.uniform(0.12, 0.3)
    camera = Camera(heading=heading, across=_ACROSS, tilt=tilt, distance=4.0, aspect=aspect)
    span = 1.3 * _ACROSS + ahead
    high = 2.0 * _ACROSS * aspect
    whole_flight = replace(
        camera,
        x=ahead / 2,
        heading=0.0,
        across=span,
        distance=60.0,
        aspect=high * math.cos(camera.tilt) / span,
    )
    plot = Plot(rng, whole_flight)
    _build_along(plot, side, aspect)
    terrain = rng.choice(("grass", "grass", "dry grass"))
    colour, roughness = ground_of(terrain, rng)
    world = plot.world("river", terrain, colour, roughness, varied((62, 88, 46), rng, 0.1))
    metres = span / 900
    left = 60 + 0.65 * _ACROSS / metres
    world = replace(world, texture=(left, 512.0, metres), shadow=0.45)
    return Flight(world, camera, (_CAMERA, 0.0))


def _build_along(plot: Plot, side: int, aspect: float) -> None:
    far = plot.camera.x
    high = _ACROSS * aspect
    middle = rectangle(far, 0.27 * high * side, 0.0, 4 * plot.camera.across, 0.32 * high)
    lay_water(plot, "river", middle, None)
    plot.keep_free(middle)
    road = lay_road(plot, (far, -0.14 * high * side), 0.0, 0.2 * high)
    plot.put("car", (-6.0, road.y + road.width / 4), 0.0, on="road", colour_name="red",
             scale=1.7, speed=_TRAFFIC)  # fmt: skip
    _let_drive(plot, road, round(plot.camera.across / 28))
    _let_sail(plot, 0.27 * high * side, round(plot.camera.across / 26))
    build_houses(plot, round(plot.camera.across / 12), heading=0.0, scale=0.75, pitched=0.6)
    plot.wood(round(plot.camera.across / 3), low=1.2, high=2.6)


def _let_drive(plot: Plot, road: Road, number: int) -> None:
    """Other vehicles; red ones are left to the car that the camera follows."""
    rng, reach = plot.rng, plot.camera.across / 2
    for _ in range(number):
        lane = rng.choice((-1, 1))
        at = road.at(rng.uniform(-reach, reach), lane * road.width / 4)
        heading = 0.0 if lane > 0 else math.pi
        kind = rng.choice(("car", "car", "truck", "bus"))
        colour = rng.choice(("white", "blue", "yellow"))
        plot.put(kind, at, heading, on="road", colour_name=colour, scale=1.4, speed=_TRAFFIC)


def _let_sail(plot: Plot, y: float, number: int) -> None:
    rng, reach = plot.rng, plot.camera.across / 2
    for _ in range(number):
        at = plot.camera.x + rng.uniform(-reach, reach), y + rng.uniform(-4.5, 4.5)
        plot.put("boat", at, rng.choice((0.0, 0.02)), on="river", speed=_BOATS)
