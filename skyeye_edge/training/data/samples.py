"""Samples in an order that a seed fixes, so that an interrupted run goes on as if it never was."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch
from torch.utils.data import Dataset

from skyeye_edge.core.errors import DataError, MediaError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.turns import USUAL_KINDS, Kind, build_turns, draw_turns
from skyeye_edge.training.data.collate import IGNORED, Sample, Tokenizer, build_sample
from skyeye_edge.training.data.mixture import Mixture, Part
from skyeye_edge.training.data.record import Record, Turn, sizes_of
from skyeye_edge.training.data.views.chains import Tinted, Uncut
from skyeye_edge.training.recipe import DataRecipe, Recipe, StageRecipe

# How often each is asked of drawn pictures if the recipe does not say. Of scenes as skyeye-tiny
# learnt them: with all alike, a model soon calls absent what is there (docs/notes.md). Recalled
# captions are no descriptions.
USUAL_TASKS: dict[str, dict[Kind, float]] = {
    "synthetic": {"ground": 5, "absent": 2, "ask": 4, "caption": 1, "identify": 1, "detect": 1},
    "recalled": {"caption": 1},
}
log = logging.getLogger(__name__)

ATTEMPTS = 100  # draws before we say that a stage's images have nothing to learn
# What `augment` shows: 40 % of the area at least, other brightness, contrast and colour.
AUGMENTED = Tinted(Uncut(0.4), 0.25)


class Samples(Dataset[Sample]):
    """The samples of one stage; sample `i` depends on the seed, the stage and `i` alone."""

    def __init__(
        self,
        recipe: Recipe,
        stage: StageRecipe,
        data: Sequence[DataSet],
        spec: ModelSpec,
        tokenizer: Tokenizer,
        processes: int = 1,  # that share the samples
    ) -> None:
        super().__init__()
        self._processes = processes
        self._recipe, self._stage, self._data = recipe, stage, list(data)
        self._spec, self._tokenizer = spec, tokenizer
        self._mixture = _mixture(recipe, stage, data)
        # How often an image that could be read before could not be any more; of all workers.
        self.skipped = torch.zeros(1, dtype=torch.long).share_memory_()

    def __len__(self) -> int:
        per_step = self._stage.accumulate * self._stage.batch * self._processes
        return self._stage.steps * per_step

    def __getitem__(self, index: int) -> Sample:
        """A sample with something to learn: questions that leave no room for answers are redrawn.

        Raises:
            DataError: none fits into `length`, or none of the tasks fits the images.
            MediaError: an image cannot be read any more, and the recipe does not skip such.
        """
        limit = min(self._recipe.length, self._spec.context)
        for record in self._records(index):
            sample = build_sample(record, self._spec, self._tokenizer, limit)
            if any(label != IGNORED for label in sample.labels):
                return sample
        raise DataError(
            f"{self._names()}: no answer begins within `length` {limit}; "
            f"raise it in the recipe (the base takes up to {self._spec.context}) or ask less"
        )

    def record(self, index: int) -> Record:
        """Images and turns of sample `index`, not tokenised.

        Raises:
            DataError: none of the tasks fits the images.
        """
        return next(self._records(index))

    def _names(self) -> str:
        return ", ".join(source.name for source in self._recipe.data)

    def _records(self, index: int) -> Iterator[Record]:
        """The sample, and others in its place if it leaves nothing to learn.

        Raises:
            DataError: none of the tasks fits any of the images.
        """
        chance = random.Random(f"{self._recipe.seed} {self._stage.name} {index}")  # noqa: S311
        empty = True
        for number, place in islice(self._mixture.places(index, chance), ATTEMPTS):
            source, data = self._recipe.data[number], self._data[number]
            try:
                seen = data.annotations[place].read()
            except MediaError as error:  # it could be read when the run began
                if not self._recipe.skip_unreadable:
                    raise
                self.skipped += 1
                log.warning("%s; another stands in for it", error)
                continue
            if source.augment:
                seen = AUGMENTED(seen, self._spec.vision.image_size, chance)
            turns = self._turns(source, data, seen, chance)
            if turns:
                empty = False
                yield Record(seen.images, tuple(turns), data.name, source.split)
        if empty:
            raise DataError(
                f"{self._names()}: the images say nothing that the recipe's tasks could learn"
            )

    def _turns(
        self, source: DataRecipe, data: DataSet, item: Annotation, chance: random.Random
    ) -> list[Turn]:
        own = source.conversations
        long = chance.random() < (self._stage.conversations if own is None else own)
        number = chance.randint(*self._stage.turns) if long else 1
        size = sizes_of([item.rgb])[0]

        def build(kind: Kind) -> list[Turn]:
            return build_turns(kind, item, data, size, self._spec.boxes, chance)

        ratios = source.tasks or USUAL_TASKS.get(source.format) or dict.fromkeys(USUAL_KINDS, 1.0)
        return draw_turns(build, ratios, number, chance)


def counted(
    recipe: Recipe, stage: StageRecipe, data: Sequence[DataSet], processes: int = 1
) -> StageRecipe:
    """The stage with its number of steps, where the recipe says how many epochs.

    Args:
        recipe: whose stage it is.
        stage: see above.
        data: the data sets of the recipe, as they are trained on.
        processes: that share the samples.
    """
    if not stage.epochs:
        return stage
    samples = stage.epochs * _mixture(recipe, stage, data).epoch_length()
    per_step = stage.batch * stage.accumulate * processes
    return replace(stage, steps=max(1, math.ceil(samples / per_step)))


def _mixture(recipe: Recipe, stage: StageRecipe, data: Sequence[DataSet]) -> Mixture:
    parts = [
        Part(len(each.annotations), stage.ratios.get(source.name, source.ratio), source.cap)
        for source, each in zip(recipe.data, data, strict=True)
    ]
    return Mixture(
        parts,
        key=f"{recipe.seed} {stage.name}",
        batch=stage.batch,
        by_epochs=stage.epochs > 0,
        one_set=stage.one_set_per_batch,
    )
