"""Annotations that the package draws itself: synthetic scenes, and frames of synthetic flights."""

from __future__ import annotations

import random

import numpy as np

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.data.synthetic.flight import plan_flight
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.phrases import absent_phrases
from skyeye_edge.training.data.synthetic.video import everything_in, frame_truth

SECONDS = 12.0  # of a flight
FRAME = (256, 144)  # pixels of its frames


def draw_scene(seed: int, side: int) -> Annotation:
    """A synthetic scene, seeds below 1,000,000."""
    scene = render_scene(seed, size=side)
    objects = tuple((thing.xyxy, thing.kind) for thing in scene.objects)
    return Annotation(
        (np.asarray(scene.image),),
        tuple(scene.captions),
        origin="synthetic",
        objects=objects,
        closed=frozenset(label for _, label in objects),
        phrases=tuple(scene.phrases),
        absent=tuple(scene.absent),
        questions=tuple(scene.questions),
    )


def draw_flight(seed: int, frames: int = 8) -> list[Annotation]:
    """Evenly spaced frames of a synthetic flight; planning it costs as much as four frames."""
    width, height = FRAME
    flight = plan_flight(seed, SECONDS, height / width)
    chance = random.Random(f"skyeye flight {seed}")  # noqa: S311 - repeatable, not secret
    absent = absent_phrases(everything_in(flight.world), flight.world.terrain, chance)
    drawn = []
    for index in range(frames):
        time = index * SECONDS / frames
        picture = paint(*flight.at(time), Look(noise=0.6, noise_seed=index), FRAME)
        truth = frame_truth(flight, index, time, width, seed)
        objects = tuple((each.xyxy, each.kind) for each in truth.objects)
        drawn.append(
            Annotation(
                (np.asarray(picture),),
                tuple(truth.captions),
                origin="synthetic",
                objects=objects,
                closed=frozenset(label for _, label in objects),
                phrases=tuple(truth.phrases),
                absent=tuple(absent),
            )
        )
    return drawn
