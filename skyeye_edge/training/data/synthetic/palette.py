"""Which classes there are, how large and in which colours; and the colours of the ground."""

from __future__ import annotations

import random
from dataclasses import dataclass

from skyeye_edge.training.data.synthetic.world import Colour

Sizes = tuple[float, float, float]  # length, width, height in metres


@dataclass(frozen=True, slots=True)
class Class:
    """What a class of things looks like."""

    sizes: tuple[Sizes, Sizes]  # smallest, largest
    colours: tuple[str, ...]
    plural: str
    margin: float = 0.25  # room kept around it, in units of its shorter side


CLASSES: dict[str, Class] = {
    "boat": Class(
        ((7, 2.6, 1.2), (16, 4.6, 2.5)), ("white", "white", "red", "blue", "yellow"), "boats", 0.6
    ),
    "building": Class(
        ((12, 9, 5), (26, 16, 11)), ("white", "gray", "red", "brown", "blue"), "buildings", 0.2
    ),
    "bus": Class(((11, 2.6, 3), (13, 2.8, 3.3)), ("yellow", "red", "blue", "white"), "buses"),
    "car": Class(
        ((4.2, 1.8, 1.4), (4.9, 2.0, 1.7)),
        ("white", "black", "red", "blue", "yellow", "green"),
        "cars",
    ),
    "plane": Class(((28, 28, 4), (42, 40, 6)), ("white", "white", "gray", "blue"), "planes", 0.05),
    "storage tank": Class(
        ((14, 14, 6), (24, 24, 12)), ("white", "gray", "red"), "storage tanks", 0.2
    ),
    "swimming pool": Class(((9, 5, 0), (13, 7, 0)), ("blue",), "swimming pools"),
    "tennis court": Class(((30, 15, 0), (34, 17, 0)), ("green", "red", "blue"), "tennis courts"),
    "truck": Class(((8, 2.5, 3), (13, 2.7, 3.8)), ("white", "red", "blue", "yellow"), "trucks"),
}

_VIVID: dict[str, Colour] = {
    "white": (236, 236, 232),
    "black": (26, 27, 30),
    "gray": (140, 142, 146),
    "red": (196, 36, 32),
    "blue": (36, 78, 184),
    "yellow": (232, 190, 36),
    "green": (34, 128, 62),
    "brown": (122, 82, 52),
}
_SPECIAL: dict[tuple[str, str], Colour] = {
    ("building", "red"): (176, 72, 52),
    ("building", "blue"): (62, 104, 168),
    ("storage tank", "red"): (158, 66, 54),
    ("swimming pool", "blue"): (66, 178, 206),
    ("tennis court", "red"): (172, 84, 62),
    ("tennis court", "green"): (52, 118, 74),
    ("tennis court", "blue"): (46, 92, 158),
}

GROUND: dict[str, tuple[Colour, float]] = {
    "grass": ((98, 122, 66), 0.34),
    "dry grass": ((150, 142, 92), 0.32),
    "bare soil": ((148, 118, 88), 0.3),
    "sand": ((208, 184, 138), 0.18),
    "snow": ((226, 230, 236), 0.1),
    "pavement": ((146, 144, 140), 0.14),
    "forest": ((52, 76, 42), 0.6),
    "water": ((44, 84, 106), 0.1),
    "asphalt": ((92, 93, 96), 0.12),
    "concrete": ((168, 166, 158), 0.12),
}


def varied(colour: Colour, rng: random.Random, spread: float = 0.07) -> Colour:
    """A colour a little lighter or darker and a little off in each channel."""
    light = rng.gauss(1.0, spread)
    red, green, blue = (min(255, max(0, round(v * light + rng.gauss(0, 3)))) for v in colour)
    return red, green, blue


def paint_of(kind: str, colour_name: str, rng: random.Random) -> Colour:
    """The paint of a thing whose colour has this name."""
    return varied(_SPECIAL.get((kind, colour_name), _VIVID[colour_name]), rng, 0.04)


def ground_of(name: str, rng: random.Random) -> tuple[Colour, float]:
    """Colour and roughness of a kind of ground."""
    colour, roughness = GROUND[name]
    return varied(colour, rng), roughness
