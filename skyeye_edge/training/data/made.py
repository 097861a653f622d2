"""Conversations made once and for all from annotations, to be written, read over and shared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from skyeye_edge.core.boxes import BoxSpec, Size
from skyeye_edge.core.errors import InputError
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.turns import KINDS, Kind, build_turns, draw_turns
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.readers.image_files import image_size
from skyeye_edge.training.data.record import ImageSource, read_rgb, sizes_of

_WORDS_ONLY = BoxSpec()  # that nothing is there is said by each model in its own words: left out


def as_kinds(names: Sequence[str]) -> tuple[Kind, ...]:
    """Names of kinds; raises InputError for one that is not known."""
    for name in names:
        if name not in KINDS:
            raise InputError(f"kind {name!r} is not known; known are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in names)


def make_conversations(
    found: Sequence[Found], kinds: Sequence[Kind], turns: int, seed: int
) -> list[Found]:
    """One conversation about every image that has something to say, and nothing else of it.

    Args:
        found: annotated images; labels and classes of all of them are what may be absent.
        kinds: of turns, each as often.
        turns: of a conversation at most.
        seed: the same one makes the same conversations.

    Raises:
        MediaError: a frame of a video cannot be read.
    """
    data = DataSet("", tuple(each.item for each in found))
    made = []
    for number, each in enumerate(found):
        chance = random.Random(f"make {seed} {number}")  # noqa: S311 - repeatable, not secret
        size = _size(each.item.image)
        build = partial(
            build_turns,
            item=each.item,
            data=data,
            size=size,
            boxes=_WORDS_ONLY,
            chance=chance,
        )
        drawn = draw_turns(build, dict.fromkeys(kinds, 1.0), turns, chance)
        if drawn:
            item = Annotation(
                each.item.images, conversations=(tuple(drawn),), upright=each.item.upright
            )
            made.append(replace(each, item=item))
    return made


def _size(image: ImageSource) -> Size:
    """Of a file without decoding it; of a frame or a drawn picture by its pixels."""
    return image_size(image) if isinstance(image, Path) else sizes_of([read_rgb(image)])[0]
