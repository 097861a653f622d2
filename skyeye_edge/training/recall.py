"""What the base says about pictures that nobody annotated, to be learnt again beside new things.

Cut out, turned, recoloured and put together, pieces of drawn scenes look real enough to draw all
kinds of captions from a base; learning them again keeps its words for pictures unlike the user's
(docs/notes.md has the figures). No picture of anybody is needed.

Source: learning without forgetting (Li, Hoiem 2016), on pictures of our own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyeye_edge.core.errors import DataError
from skyeye_edge.core.results import TaskResult, TextResult
from skyeye_edge.core.tasks import Caption
from skyeye_edge.evaluation import Predictor
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.record import RGB
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.data.views.augment import change_colours, random_crop, view_of
from skyeye_edge.training.run_folder import write_whole

SIDE = 128  # pixels of a scene and of a view
SCENES_PER_VIEW = 0.5  # each scene is cut up for several views
SMALLEST = 0.05  # of a scene's area in a view
RECOLOURED = 0.25  # brightness, contrast and colour change by up to this share


def recall(name: str, number: int, predictor: Predictor, kept: Path, *, keep: bool) -> DataSet:
    """Views of drawn scenes with the captions that the base gives them.

    Args:
        name: of the data set.
        number: how many views.
        predictor: the base, before anything is learnt.
        kept: file of the captions: a resumed run learns the same ones.
        keep: write it if it is not there.

    Raises:
        DataError: the base has no whole caption for any of them.
    """
    views = draw_views(number)
    if kept.exists():
        captions: list[str] = json.loads(kept.read_text("utf-8"))
    else:
        captions = [_whole(predictor.run(view, [Caption()])[0]) for view in views]
        if keep:
            write_whole(kept, json.dumps(captions, indent=0))
    pairs = zip(views, captions, strict=True)
    known = tuple(Annotation((view,), (words,)) for view, words in pairs if words)
    if not known:
        raise DataError(
            f"{name}: the base captions none of the drawn pictures; leave this part out"
        )
    return DataSet(name, known)


def draw_views(number: int) -> list[RGB]:
    """(SIDE, SIDE, 3) uint8 pieces of drawn scenes, every second one put together from four."""
    chance = random.Random("skyeye views")  # noqa: S311 - repeatable, not secret
    scenes = range(max(1, round(number * SCENES_PER_VIEW)))
    pictures = [Annotation((np.asarray(render_scene(seed, SIDE).image),)) for seed in scenes]
    return [
        _piece(pictures, SIDE, chance) if place % 2 else _mosaic(pictures, chance)
        for place in range(number)
    ]


def _whole(result: TaskResult) -> str:
    """The words of an answer; none if it was cut."""
    return result.text if isinstance(result, TextResult) and result.outcome == "text" else ""


def _mosaic(pictures: Sequence[Annotation], chance: random.Random) -> RGB:
    rows = [np.hstack([_piece(pictures, SIDE // 2, chance) for _ in range(2)]) for _ in range(2)]
    return np.vstack(rows)


def _piece(pictures: Sequence[Annotation], side: int, chance: random.Random) -> RGB:
    picture = chance.choice(pictures)
    view = view_of(picture, side, chance, crop=random_crop(picture, chance, SMALLEST))
    return change_colours(view.rgb, chance, RECOLOURED)
