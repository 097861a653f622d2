"""What several files say about the same images, as one: captions here, questions or boxes there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import Found, read_found
from skyeye_edge.training.data.record import ImageSource
from skyeye_edge.training.data.video_frames import VideoFrame
from skyeye_edge.training.recipe import AlsoRecipe


def read_joined(
    path: Path, kind: str, images: Path | None, also: Iterable[AlsoRecipe]
) -> tuple[list[Found], list[DataError]]:
    """A file with what others say about its images, and what is wrong with their entries.

    Raises:
        DataError: a format is not known.
    """
    found, problems = read_found(path, kind, images)
    for other in also:
        where = None if other.images == Path() else other.images
        more, errors = read_found(other.path, other.format, where)
        found, problems = joined(found, more), problems + errors
    return found, problems


def apart(sets: Sequence[Sequence[Found]]) -> list[Found]:
    """The entries of several sets as one: what only others box is unsure where a set has boxes."""
    labels = [_labels(each.item for each in found) for found in sets]
    every = frozenset(label for own in labels for label in own)
    return [
        replace(each, item=_unsure(each.item, every - own))
        for found, own in zip(sets, labels, strict=True)
        for each in found
    ]


def joined(found: Sequence[Found], more: Sequence[Found]) -> list[Found]:
    """The first file's entries with what the other one says about their images.

    Splits are those of the first; images that only the other one knows are left out. Where both
    have boxes, labels of the one are unsure in images that only the other one has boxes in.

    Args:
        found: of the first file; what is added goes to the first entry of an image.
        more: of the other one.
    """
    told: dict[object, list[Annotation]] = {}
    for each in more:
        told.setdefault(_file(each.item.image), []).append(each.item)
    ours, theirs = _labels(each.item for each in found), _labels(each.item for each in more)
    result = []
    for each in found:
        item = _unsure(each.item, theirs - ours)
        for other in told.pop(_file(item.image), ()):
            item = _both(item, other, ours, theirs)
        result.append(replace(each, item=item))
    return result


def _both(
    one: Annotation, other: Annotation, ours: frozenset[str], theirs: frozenset[str]
) -> Annotation:
    if other.objects and not one.objects:
        one = replace(one, cut=one.cut | (ours - theirs))
    if other.objects and one.objects:  # both sets have looked for their labels here
        one = replace(one, cut=one.cut - (theirs - ours))
    phrased = {words.casefold() for words, _ in (*one.phrases, *other.phrases)}
    absent = dict.fromkeys((*one.absent, *other.absent))
    return replace(
        one,
        captions=one.captions + other.captions,
        objects=one.objects + other.objects,
        phrases=one.phrases + other.phrases,
        absent=tuple(words for words in absent if words.casefold() not in phrased),
        questions=one.questions + other.questions,
        question_types=_types(one) + _types(other),
        conversations=one.conversations + other.conversations,
        scene=one.scene or other.scene,
        cut=one.cut | other.cut,
        upright=one.upright or other.upright,
    )


def _unsure(item: Annotation, labels: frozenset[str]) -> Annotation:
    return replace(item, cut=item.cut | labels) if item.objects and labels else item


def _types(item: Annotation) -> tuple[str, ...]:
    return item.question_types or ("",) * len(item.questions)


def _labels(items: Iterable[Annotation]) -> frozenset[str]:
    return frozenset(label for item in items for _, label in item.objects)


def _file(image: ImageSource) -> object:
    """What tells an image from others: its file, or a drawn one itself."""
    path = image.path if isinstance(image, VideoFrame) else image
    return path.resolve() if isinstance(path, Path) else id(path)
