"""Synthetic scenes drawn once and kept in a file, because drawing costs more than reading."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.pretrain.data import Drawn

log = logging.getLogger(__name__)

SIDE = 128  # pixels; training sees 112


def read_scenes(path: Path, number: int, workers: int = 2) -> list[Drawn]:
    """`number` scenes with seeds 0, 1, ...; drawn and written to `path` if it is not there."""
    if not path.exists():
        log.info("drawing %d scenes into %s", number, path)
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            scenes = pool.map(draw, range(number), chunksize=100)
        _write(path, scenes)
    with np.load(path) as stored:
        images, facts = stored["images"], json.loads(str(stored["facts"]))
    return [_drawn(rgb, fact) for rgb, fact in zip(images, facts, strict=True)]


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
