"""Synthetic scenes and frames of flights, drawn once and kept: drawing costs more than reading."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.data.synthetic.flight import plan_flight
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.phrases import absent_phrases
from skyeye_edge.training.data.synthetic.video import everything_in, frame_truth
from skyeye_edge.training.pretrain.data import Drawn

log = logging.getLogger(__name__)

SIDE = 128  # pixels; training sees 112
FEW = 1000  # scenes that are drawn (5 ms each) before other processes have started
SCENES_PER_FLIGHT = 50
FRAMES_PER_FLIGHT = 8
SECONDS = 12.0  # of a flight
WIDE = (224, 126)  # pixels of its frames, before they are stretched into a square as the model does


def read_scenes(path: Path, number: int, workers: int = 2) -> list[Drawn]:
    """Scenes with seeds 0 to `number`, and some frames of flights.

    They are drawn and written to `path` if it is not there.
    """
    if not path.exists():
        log.info("drawing %d scenes into %s", number, path)
        _write(path, draw_scenes(number, workers))
    with np.load(path) as stored:
        images, facts = stored["images"], json.loads(str(stored["facts"]))
    return [_drawn(rgb, fact) for rgb, fact in zip(images, facts, strict=True)]


def draw_scenes(number: int, workers: int = 2) -> list[Drawn]:
    """Scenes with seeds 0 to `number`, and some frames of flights."""
    seeds, flights = range(number), range(number // SCENES_PER_FLIGHT)
    if number <= FEW:
        scenes, flown = [draw(seed) for seed in seeds], [draw_flight(seed) for seed in flights]
    else:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            scenes = pool.map(draw, seeds, chunksize=100)
            flown = pool.map(draw_flight, flights, chunksize=5)
    return scenes + [frame for frames in flown for frame in frames]


def draw(seed: int) -> Drawn:
    """One scene; boxes in 0..1."""
    scene = render_scene(seed, size=SIDE)

    def share(box: Sequence[float]) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = (edge / SIDE for edge in box)
        return x1, y1, x2, y2

    return Drawn(
        rgb=np.asarray(scene.image),
        captions=tuple(scene.captions),
        phrases=tuple((text, share(box)) for text, box in scene.phrases),
        absent=tuple(scene.absent),
        questions=tuple(scene.questions),
        objects=tuple((share(thing.xyxy), thing.kind) for thing in scene.objects),
    )


def draw_flight(seed: int) -> list[Drawn]:
    """Evenly spaced frames of a flight, stretched into squares; boxes in 0..1."""
    width, height = WIDE
    flight = plan_flight(seed, SECONDS, height / width)
    chance = random.Random(f"skyeye flight {seed}")  # noqa: S311 - repeatable, not secret
    absent = absent_phrases(everything_in(flight.world), flight.world.terrain, chance)

    def share(box: XYXY) -> XYXY:
        x1, y1, x2, y2 = box
        return x1 / width, y1 / height, x2 / width, y2 / height

    frames = []
    for index in range(FRAMES_PER_FLIGHT):
        time = index * SECONDS / FRAMES_PER_FLIGHT
        picture = paint(*flight.at(time), Look(noise=0.6, noise_seed=index), WIDE)
        truth = frame_truth(flight, index, time, width, seed)
        square = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        phrases = tuple((text, share(box)) for text, box in truth.phrases)
        objects = tuple((share(each.xyxy), each.kind) for each in truth.objects)
        frames.append(
            Drawn(np.asarray(square), truth.captions, phrases, tuple(absent), (), objects)
        )
    return frames


def _write(path: Path, scenes: Sequence[Drawn]) -> None:
    facts = [
        [scene.captions, scene.phrases, scene.absent, scene.questions, scene.objects]
        for scene in scenes
    ]
    images = np.stack([scene.rgb for scene in scenes])
    np.savez(path, images=images, facts=np.array(json.dumps(facts)))


def _drawn(rgb: np.ndarray, fact: list[list[list[str]]]) -> Drawn:
    captions, phrases, absent, questions, objects = (
        tuple(tuple(x) if isinstance(x, list) else x for x in part) for part in fact
    )
    return Drawn(rgb, captions, phrases, absent, questions, objects)  # type: ignore[arg-type]
