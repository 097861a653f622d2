"""A rendered scene with everything that can truthfully be said about it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import InputError
from skyeye_edge.training.data.synthetic.captions import captions_for
from skyeye_edge.training.data.synthetic.observe import observe
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.phrases import absent_phrases, phrases_for
from skyeye_edge.training.data.synthetic.questions import questions_for
from skyeye_edge.training.data.synthetic.themes import grow_scene


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One countable object of a scene."""

    kind: str
    colour: str
    xyxy: XYXY  # pixels


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture and what is true about it."""

    image: Image.Image  # RGB, square
    captions: list[str]  # 3 to 5 different sentences
    phrases: list[tuple[str, XYXY]]  # each means exactly one region; boxes in pixels
    absent: list[str]  # phrases of which nothing is in the picture
    questions: list[tuple[str, str]]  # question and short answer
    scene: str  # the theme, for example "parking lot"
    objects: tuple[SceneObject, ...]  # every countable object, also those without a phrase


def render_scene(seed: int, size: int = 256) -> Scene:
    """The scene of a seed; world and words are the same at every size (but for the sensor noise).

    Args:
        seed: from 0; those from `RESERVED_SEEDS` (1,000,000) up are for evaluation only.
        size: edge of the square picture in pixels, at least 16.

    Raises:
        InputError: a negative seed or a size below 16.
    """
    if seed < 0 or size < 16:
        raise InputError(f"scene: seed {seed}, size {size}; give a seed from 0 and a size from 16")
    world, camera = grow_scene(seed)
    look = look_of(seed)
    seen = observe(world, camera)
    rng = random.Random(f"skyeye words {seed}")  # noqa: S311 - repeatable, not secret
    colours = not look.thermal
    phrases = phrases_for(seen, camera.aspect, rng, colours=colours)
    return Scene(
        image=paint(world, camera, look, (size, size)),
        captions=captions_for(seen, world.theme, world.terrain, rng, colours=colours),
        phrases=[(text, _pixels(one.box, size)) for text, one in phrases],
        absent=absent_phrases(seen, world.terrain, rng, colours=colours),
        questions=questions_for(seen, world.theme, world.terrain, rng, colours=colours),
        scene=world.theme,
        objects=tuple(
            SceneObject(one.kind, one.colour_name, _pixels(one.box, size))
            for one in seen
            if not one.is_area
        ),
    )


def look_of(seed: int) -> Look:
    """Light, air and sensor of a seed."""
    rng = random.Random(f"skyeye look {seed}")  # noqa: S311 - repeatable, not secret
    light = rng.uniform(0.78, 1.2)
    return Look(
        gain=(light * rng.gauss(1, 0.03), light, light * rng.gauss(1, 0.03)),
        contrast=rng.uniform(0.8, 1.15),
        haze=rng.choice((0.0, 0.0, 0.08, 0.2)),
        blur=rng.choice((0.0, 0.0, 0.002, 0.004)),
        noise=rng.choice((1.0, 2.0, 4.0, 8.0)),
        noise_seed=rng.randrange(1 << 30),
        thermal=rng.random() < 0.04,
    )


def _pixels(box: XYXY, size: int) -> XYXY:
    left, top, right, bottom = box
    return left * size, top * size, right * size, bottom * size
