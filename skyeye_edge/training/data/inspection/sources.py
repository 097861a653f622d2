"""Which annotated images are looked at: files of one format, or the data of a recipe."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.data.joining import read_joined
from skyeye_edge.training.data.readers import READERS, Found
from skyeye_edge.training.recipe import AlsoRecipe, read_recipe

log = logging.getLogger(__name__)

RECIPES = (".yaml", ".yml")
TOKENIZER = "tokenizer.model"


@dataclass(frozen=True, slots=True)
class Source:
    """An annotation file, or a folder of them."""

    name: str
    path: Path
    kind: str  # its format
    images: Path | None = None  # the folder of its images; None: where the format has them
    also: tuple[AlsoRecipe, ...] = ()  # files that say more about them

    def read(self) -> tuple[list[Found], list[DataError]]:
        """Its entries, and what is wrong with those that are left out.

        Raises:
            DataError: the format is not known.
        """
        return read_joined(self.path, self.kind, self.images, self.also)


def read_sources(paths: Sequence[Path], kind: str, images: Path | None) -> list[Source]:
    """The files, and the data of those that are recipes; what a recipe draws itself is left out.

    Raises:
        InputError: a recipe is wrong, or the format is not known.
    """
    if kind not in READERS:
        raise InputError(f"format {kind!r} is not known; known are {', '.join(READERS)}")
    sources = []
    for path in paths:
        if path.suffix.lower() not in RECIPES:
            sources.append(Source(path.name, path, kind, images))
            continue
        for data in read_recipe(path).data:
            if data.format in READERS:
                own = None if data.images == Path() else data.images
                sources.append(Source(data.name, data.path, data.format, own, data.also))
    return sources


def readable(source: Source, split: str | None = None) -> list[Found]:
    """Its entries, of one split alone, without those that are wrong; how many, is logged.

    Raises:
        DataError: there is none.
    """
    found, problems = source.read()
    if problems and not found:
        raise problems[0]
    if problems:
        log.warning(
            "%s: %d entries are wrong and left out; `skyeye-edge data check` names them",
            source.path,
            len(problems),
        )
    chosen = [each for each in found if split in (None, each.split)]
    if not chosen:
        known = ", ".join(sorted({each.split for each in found})) or "none at all"
        raise DataError(f"{source.path}: no entry of split {split!r}; there are: {known}")
    return chosen


def choose(found: Sequence[Found], number: int | None, seed: int) -> list[Found]:
    """So many of them in their order; all without a number."""
    if number is None or number >= len(found):
        return list(found)
    chance = random.Random(f"choose {seed}")  # noqa: S311 - repeatable, not secret
    return [found[place] for place in sorted(chance.sample(range(len(found)), number))]


def read_encoder(path: Path) -> Callable[[str], list[int]]:
    """Ids of a text, with a tokenizer.model or that of a checkpoint.

    Raises:
        InputError: there is none.
    """
    file = path / TOKENIZER if path.is_dir() else path
    try:
        return Tokenizer(file).encode
    except (OSError, RuntimeError) as error:
        raise InputError(f"{file}: no tokenizer of sentencepiece: {error}") from error
