"""What a run does to its base: the same questions asked before and after, of new images and old.

`scores.json` in the run folder holds every answer; `before_after.jpg` shows some.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyeye_edge.evaluation import (
    CheckedAnswer,
    KnownImage,
    Mean,
    OverviewKind,
    Predictor,
    check_answers,
    mean_scores,
)
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.boxes import phrases
from skyeye_edge.training.data.record import RGB, read_rgb, sizes_of
from skyeye_edge.training.data.synthetic import RESERVED_SEEDS, render_scene
from skyeye_edge.training.run_folder import write_whole

Group = Literal["held out", "trained on", "old tasks"]
GROUPS: dict[Group, str] = {
    "held out": "your images, held out",
    "trained on": "your images, trained on",
    "old tasks": "old tasks, on drawn scenes",
}
# Of computing, before the training; after it the same questions are asked again. Not of the clock:
# how many images are scored must not hang on what else the machine does.
SECONDS = 15.0
MOST_PHRASES = 3  # of an image
MOST_QUESTIONS = 3
CLEAR_LOSS = 0.1  # of a score of the old tasks; less than that may be chance
_FILE = "scores.json"


@dataclass(slots=True)
class ScoredImage:
    """The answers about one image; `after` is empty until the run is over."""

    group: Group
    name: str  # of its file, or "scene" and its seed
    before: list[CheckedAnswer]
    after: list[CheckedAnswer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """A mean score before and after."""

    group: Group
    kind: OverviewKind
    before: Mean
    after: Mean

    @property
    def is_clear_loss(self) -> bool:
        """More than a tenth of the score is gone."""
        return self.after.value < (1 - CLEAR_LOSS) * self.before.value


@dataclass(frozen=True, slots=True)
class Scores:
    """All images that a run has asked about."""

    images: tuple[ScoredImage, ...]

    def number(self, group: Group) -> int:
        """How many images of a group were asked about."""
        return sum(image.group == group for image in self.images)

    def changes(self) -> list[Change]:
        """Mean scores of every group and kind; none before the run is over."""
        found = []
        for group in GROUPS:
            own = [image for image in self.images if image.group == group]
            before = mean_scores(answer for image in own for answer in image.before)
            after = mean_scores(answer for image in own for answer in image.after)
            found += [Change(group, kind, before[kind], after[kind]) for kind in after]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An image that is to be asked about."""

    group: Group
    name: str
    known: KnownImage


def choose_images(
    trained: Iterable[DataSet], held_out: Iterable[DataSet], most: int, seed: int
) -> list[Asked]:
    """Up to `most` images of each group, in an order in which the groups take turns.

    Args:
        trained: what the run learns, without drawn scenes.
        held_out: what it does not.
        most: images of each group.
        seed: chooses which.
    """
    chance = random.Random(f"scores {seed}")  # noqa: S311 - repeatable, not secret
    groups = [
        _own("held out", held_out, most, chance),
        _own("trained on", trained, most, chance),
        map(_scene, range(RESERVED_SEEDS, RESERVED_SEEDS + most)),
    ]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*groups))
    return [asked for asked in turns if asked is not None]


def score_before(predictor: Predictor, chosen: Sequence[Asked], run: Path) -> None:
    """Ask as many of the images as the time allows, at least one of each group, and keep it."""
    end = time.process_time() + SECONDS
    images = []
    for place, asked in enumerate(chosen):
        if place >= len(GROUPS) and time.process_time() > end:
            break
        images.append(ScoredImage(asked.group, asked.name, check_answers(predictor, asked.known)))
    _write(run, images)


def score_after(predictor: Predictor, chosen: Sequence[Asked], run: Path) -> Scores:
    """Ask the same images again, and keep that too."""
    scores = read_scores(run)
    for asked, image in zip(chosen, scores.images, strict=False):
        image.after = check_answers(predictor, asked.known)
    _write(run, scores.images)
    return scores


def read_scores(run: Path) -> Scores:
    """What `scores.json` of a run folder says; nothing if there is none."""
    file = run / _FILE
    if not file.exists():
        return Scores(())
    return Scores(tuple(_image(each) for each in json.loads(file.read_text("utf-8"))["images"]))


def _own(
    group: Group, data: Iterable[DataSet], most: int, chance: random.Random
) -> Iterator[Asked]:
    every = [(item, source) for source in data for item in source.annotations]
    for item, source in chance.sample(every, min(most, len(every))):
        rgb = read_rgb(item.image)
        name = item.image.name if isinstance(item.image, Path) else source.name
        yield Asked(group, name, _known(rgb, item, source.scenes, chance))


def _known(
    rgb: RGB, item: Annotation, scenes: tuple[str, ...], chance: random.Random
) -> KnownImage:
    found = [*item.phrases, *phrases(item.objects, sizes_of([rgb])[0])]
    return KnownImage(
        rgb if not isinstance(item.image, Path) else item.image,
        item.captions,
        tuple(chance.sample(found, min(MOST_PHRASES, len(found)))),
        item.absent[:1],
        item.questions[:MOST_QUESTIONS],
        scenes if len(scenes) > 1 else (),
        item.scene if len(scenes) > 1 else "",
    )


def _scene(seed: int) -> Asked:
    scene = render_scene(seed)
    known = KnownImage(
        np.asarray(scene.image),
        tuple(scene.captions),
        tuple(scene.phrases[:MOST_PHRASES]),
        tuple(scene.absent[:1]),
        tuple(scene.questions[:MOST_QUESTIONS]),
    )
    return Asked("old tasks", f"scene {seed}", known)


def _write(run: Path, images: Sequence[ScoredImage]) -> None:
    values = {"schema": 1, "images": [_plain(image) for image in images]}
    write_whole(run / _FILE, json.dumps(values, indent=1))


def _plain(image: ScoredImage) -> dict[str, Any]:
    return {
        "group": image.group,
        "name": image.name,
        "before": [answer.to_json() for answer in image.before],
        "after": [answer.to_json() for answer in image.after],
    }


def _image(values: dict[str, Any]) -> ScoredImage:
    answers = {
        key: [CheckedAnswer.from_json(each) for each in values[key]] for key in ("before", "after")
    }
    return ScoredImage(values["group"], values["name"], **answers)
