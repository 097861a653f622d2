"""The data sets of a recipe as they are trained on and scored: read, looked through, parted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from skyeye_edge.core.errors import DataError, MediaError
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.drawn import draw_flight, draw_scene
from skyeye_edge.training.data.holding_out import hold_out
from skyeye_edge.training.data.joining import read_joined
from skyeye_edge.training.data.readers import Found, of_split
from skyeye_edge.training.data.record import ImageSource, read_rgb
from skyeye_edge.training.data.video_frames import VideoFrame, clip_of
from skyeye_edge.training.recipe import DataRecipe

HELD_OUT = "val"  # split that is never trained on
DRAWN_SIDE = 192  # pixels of a synthetic scene
SCENES_PER_FLIGHT = 50


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """One part of a recipe: what is trained on, and what is only scored."""

    trained: DataSet
    held_out: DataSet
    left_out: tuple[str, ...] = ()  # what could not be read: place and reason


def read_data(
    recipe: DataRecipe, seed: int, *, skip: bool = False, known: Sequence[str] | None = None
) -> Parts:
    """The annotated images of one part of a recipe, every image read to its end once.

    Held out are the images that the file puts into "val", else a share of those of the recipe's
    split; no drawn scenes, of which there are always fresh ones.

    Args:
        recipe: which images.
        seed: chooses which are held out.
        skip: leave out what cannot be read, instead of an error.
        known: what was left out when the run began; the images are not looked through again.

    Raises:
        DataError: a file is missing or wrong, or an image cannot be read.
    """
    if recipe.format == "synthetic":
        return _parts(recipe, _draw_scenes(recipe.scenes), ())
    if recipe.format == "recalled":
        return _parts(recipe, (), ())  # until the base is there to be asked: recall.py
    images = None if recipe.images == Path() else recipe.images
    found, problems = read_joined(recipe.path, recipe.format, images, recipe.also)
    if not found and problems:
        raise problems[0]
    wrong = {str(error): "" for error in problems}
    if known is None:
        wrong |= {f"{place}: {error}": place for place, error in _unreadable(found)}
    else:
        wrong |= {each: each.partition(": ")[0] for each in known}
    if wrong and not skip:
        raise DataError(_told(list(wrong)))
    places = set(wrong.values())
    kept = [
        (each.split, _unsure(_framed(each.item, recipe.frames), recipe.unsure))
        for each in found
        if each.place not in places
    ]
    items = of_split(recipe.path, kept, recipe.split)
    stated = [item for split, item in kept if split == HELD_OUT]
    if stated and recipe.split not in (HELD_OUT, "all"):
        return _parts(recipe, items, stated, wrong)
    return _parts(recipe, *hold_out(items, recipe.hold_out, seed), wrong)


def _framed(item: Annotation, frames: int) -> Annotation:
    """A clip with so many frames of its video; as it is if that is 0."""
    video = item.images[0]
    if not frames or not isinstance(video, VideoFrame):
        return item
    return replace(item, images=clip_of(video.path, frames))


def _unsure(item: Annotation, labels: Sequence[str]) -> Annotation:
    """With labels that are neither counted nor denied nor pointed at."""
    return replace(item, cut=item.cut | frozenset(labels)) if labels else item


def _parts(
    recipe: DataRecipe,
    trained: Iterable[Annotation],
    held: Iterable[Annotation],
    left_out: Iterable[str] = (),
) -> Parts:
    one, other = DataSet(recipe.name, tuple(trained)), DataSet(recipe.name, tuple(held))
    return Parts(one, other, tuple(left_out))


def _told(wrong: Sequence[str]) -> str:
    if len(wrong) == 1:
        return f"{wrong[0]}\n`skip_unreadable: true` in the recipe leaves it out"
    return (
        f"{wrong[0]}\nand {len(wrong) - 1:,} more, which `skyeye-edge data check` names; "
        "`skip_unreadable: true` in the recipe leaves them out"
    )


def _draw_scenes(number: int) -> list[Annotation]:
    """Synthetic scenes, and some frames of flights."""
    drawn = [draw_scene(seed, DRAWN_SIDE) for seed in range(number)]
    flights = range(number // SCENES_PER_FLIGHT)
    return drawn + [frame for seed in flights for frame in draw_flight(seed)]


def _unreadable(found: Sequence[Found]) -> list[tuple[str, str]]:
    """(place, error) of entries with an image that cannot be read to its end."""
    images: dict[object, ImageSource] = {}
    for each in found:
        images |= {_file(image): image for image in each.item.images}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding does not hold Python's lock
        errors = dict(zip(images, pool.map(_error, images.values()), strict=True))
    return [
        (each.place, errors[_file(image)])
        for each in found
        for image in each.item.images
        if errors[_file(image)]
    ]


def _file(image: ImageSource) -> object:
    """What is read for an image: of a video one frame stands for all."""
    return image.path if isinstance(image, VideoFrame) else image


def _error(image: ImageSource) -> str:
    try:
        read_rgb(image)
    except MediaError as error:
        return str(error)
    return ""
