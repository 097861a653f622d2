"""Batches of pretraining: which pictures are seen, how, and what is learnt from them.

A batch is a function of the seed and its number alone, so a run that goes on sees what it would
have seen, whatever the number of loader processes.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from skyeye_edge.core.preprocess import normalise
from skyeye_edge.core.results import TextResult
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Ask
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.questions import questions_about
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.data.drawn import draw_scene
from skyeye_edge.training.data.grid import dense_targets
from skyeye_edge.training.data.packing import Row, pack, stack
from skyeye_edge.training.data.record import Turn
from skyeye_edge.training.data.views.augment import scaled, tinted
from skyeye_edge.training.data.views.chains import Cropped, Tinted, View, Zoomed, whole
from skyeye_edge.training.data.views.collage import Cuttings, mosaic
from skyeye_edge.training.model.alignment import JOINED

LONGEST = 144  # positions of a packed row: more questions are left out
WHOLE = 0.4  # share of boxed pictures that are seen whole
LOWEST, LOWEST_FLOWN = 0.4, 0.6  # of the area of a picture in a view
WORDS_IN = 30  # pictures: a caption word that stands in fewer is not learnt by the heads
DRAWN_FROM = 1_000_000  # seeds from here up are for evaluation
STOP = frozenset({  # of captions: no target for the heads
    "a", "an", "the", "of", "in", "on", "at", "to", "is", "are", "and", "with", "by", "near",
    "some", "many", "there", "this", "it", "its", "from", "for", "as", "be", "has", "have",
})  # fmt: skip


Draw = Callable[[int, random.Random], Annotation]  # a view of so many pixels


@dataclass(frozen=True, slots=True)
class Targets:
    """What the throw-away heads learn."""

    scenes: tuple[str, ...]  # `set/class`
    words: tuple[str, ...]  # of captions, without stop words
    labels: tuple[str, ...]  # of objects, real and synthetic


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All pictures that are read, by kind."""

    captioned: list[Annotation]  # with sentences, most with a class
    scenes: list[Annotation]  # with a class only
    boxed: list[Annotation]
    flown: list[Annotation]  # oblique, with sentences and questions
    flights: list[Annotation]  # frames of synthetic flights


def build_targets(pool: Pool, drawn: Sequence[Annotation]) -> Targets:
    """Class lists of the throw-away heads; `drawn` are some synthetic scenes."""
    told = [*pool.captioned, *pool.flown]
    words = Counter(w for item in told for w in {w for c in item.captions for w in c.split()})
    kept = sorted(w for w, n in words.items() if n >= WORDS_IN and w.isalpha() and w not in STOP)
    labels = {label for item in [*pool.boxed, *drawn] for _, label in item.objects}
    scenes = {scene_key(item) for item in [*pool.captioned, *pool.scenes] if item.scene}
    return Targets(tuple(sorted(scenes)), tuple(kept), tuple(sorted(labels)))


def scene_key(picture: Annotation) -> str:
    """The class of a picture, apart for every set: sets cut the world differently."""
    return f"{picture.origin}/{picture.scene}"


def keep_targets(path: Path, targets: Targets) -> Targets:
    """The targets that `path` holds, else these ones, written there: heads keep their shapes."""
    if path.exists():
        return Targets(**{k: tuple(v) for k, v in json.loads(path.read_text("utf-8")).items()})
    path.write_text(json.dumps(asdict(targets)), "utf-8")
    return targets


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """One of some pictures, all alike or by weight."""

    items: Sequence[Annotation]
    weights: Sequence[float] | None = None  # cumulative

    @classmethod
    def evened(cls, items: Sequence[Annotation]) -> Pick:
        """Sets differ in size by a factor of a hundred; the root of it evens them out."""
        sizes = Counter(item.origin for item in items)
        return cls(items, list(np.cumsum([1 / math.sqrt(sizes[i.origin]) for i in items])))

    def __call__(self, chance: random.Random) -> Annotation:
        """One of them."""
        if self.weights is None:
            return chance.choice(self.items)
        return chance.choices(self.items, cum_weights=self.weights)[0]


@dataclass(frozen=True, slots=True)
class Single:
    """Views of single pictures."""

    pick: Pick
    view: View

    def __call__(self, side: int, chance: random.Random) -> Annotation:
        """A view of so many pixels."""
        return self.view(self.pick(chance), side, chance)


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Four pictures in one."""

    pick: Pick

    def __call__(self, side: int, chance: random.Random) -> Annotation:
        """A view of so many pixels."""
        four = [self.pick(chance) for _ in range(4)]
        return tinted(mosaic(four, side, chance), chance, 0.2)


@dataclass(frozen=True, slots=True)
class Pasted:
    """Objects on empty ground."""

    cuttings: Cuttings
    labels: frozenset[str]

    def __call__(self, side: int, chance: random.Random) -> Annotation:
        """A view of so many pixels."""
        return tinted(self.cuttings.paste(side, chance, self.labels), chance, 0.15)


def draw_view(side: int, chance: random.Random) -> Annotation:
    """A synthetic scene."""
    return tinted(draw_scene(chance.randrange(DRAWN_FROM), side), chance, 0.1)


class Batches(Dataset[dict[str, torch.Tensor]]):
    """Batch `i` of a phase; `shares` says how often each kind of picture is drawn."""

    def __init__(
        self,
        pool: Pool,
        targets: Targets,
        spec: ModelSpec,
        tokenizer: Tokenizer,
        *,
        shares: Mapping[str, float],
        batch: int,
        questions: bool,
        seed: str,
    ) -> None:
        super().__init__()
        self.pool, self.targets, self.spec, self.tokenizer = pool, targets, spec, tokenizer
        self.batch, self.questions, self.seed = batch, questions, seed
        self.side = spec.vision.image_size
        self.labels = frozenset(label for item in pool.boxed for _, label in item.objects)
        scenes = [*pool.captioned, *pool.scenes]
        self.classes: dict[str, list[str]] = {}
        for origin in {item.origin for item in scenes}:
            names = {item.scene for item in scenes if item.origin == origin and item.scene}
            self.classes[origin] = sorted(names)
        boxed = Pick.evened(pool.boxed)
        told = Tinted(Cropped(LOWEST), 0.25)
        draws: dict[str, Draw] = {
            "captioned": Single(Pick.evened(pool.captioned), told),
            "scenes": Single(Pick.evened(pool.scenes), told),
            "boxed": Single(boxed, Tinted(Zoomed(WHOLE), 0.25)),
            "pasted": Pasted(Cuttings(pool.boxed, scenes), self.labels),
            "mosaic": Mosaic(boxed),
            "flown": Single(Pick(pool.flown), Tinted(Cropped(LOWEST_FLOWN), 0.25)),
            "drawn": draw_view,
            "flight": Single(Pick(pool.flights), Tinted(whole, 0.1)),
        }
        self.draws = {kind: draws[kind] for kind in shares}
        self.shares = list(shares.values())

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        views, chance = self._views(number)
        return self._stack(views, chance)

    def views(self, number: int) -> list[Annotation]:
        """What batch `number` shows."""
        return self._views(number)[0]

    def _views(self, number: int) -> tuple[list[Annotation], random.Random]:
        chance = random.Random(f"skyeye {self.seed} {number}")  # noqa: S311 - repeatable
        kinds = chance.choices(list(self.draws), self.shares, k=self.batch)
        return [self.draws[kind](self.side, chance) for kind in kinds], chance

    # Tensors

    def _stack(self, views: Sequence[Annotation], chance: random.Random) -> dict[str, torch.Tensor]:
        pixels = normalise(np.stack([view.rgb for view in views]), self.spec.vision.preprocess)
        patches = math.isqrt(self.spec.vision.tokens * JOINED)
        scenes = {name: place for place, name in enumerate(self.targets.scenes)}
        batch = {
            "pixels": torch.from_numpy(pixels),
            "scene": torch.tensor([scenes.get(scene_key(view), -1) for view in views]),
            "words": self._words(views),
            "told": torch.tensor([bool(view.captions) for view in views]),
        }
        for name, columns in (("dense", patches), ("token", patches // JOINED)):
            cells = [
                dense_targets(self._dense(view), patches, columns, bool(view.closed))
                for view in views
            ]
            batch[f"{name}_label"] = torch.from_numpy(np.stack([label for label, _ in cells]))
            batch[f"{name}_box"] = torch.from_numpy(np.stack([box for _, box in cells]))
        if self.questions:
            batch |= stack([self._pack(view, chance) for view in views])
        return batch

    def _words(self, views: Sequence[Annotation]) -> torch.Tensor:
        """(B, W): share of the captions with the word."""
        known = {word: index for index, word in enumerate(self.targets.words)}
        table = torch.zeros(len(views), len(known))
        for line, view in zip(table, views, strict=True):
            for text in view.captions:
                for word in set(text.split()) & known.keys():
                    line[known[word]] += 1 / len(view.captions)
        return table

    def _dense(self, view: Annotation) -> list[tuple[tuple[float, float, float, float], int]]:
        known = {label: index for index, label in enumerate(self.targets.labels)}
        share = 1 / self.side
        return [
            (scaled(box, share, share), known[label])
            for box, label in view.objects
            if label in known
        ]

    def _pack(self, view: Annotation, chance: random.Random) -> Row:
        classes = self.classes.get(view.origin, [])
        turns = questions_about(view, classes, self.labels, self.spec.boxes.absent, chance)
        turns = turns or [(_nothing(), 0.0)]
        return pack(turns, (self.side, self.side), self.spec, self.tokenizer, limit=LONGEST)


def _nothing() -> Turn:
    question = "is there anything?"
    return Turn(Ask(question), TextResult("ask", "text", "yes", question=question))
