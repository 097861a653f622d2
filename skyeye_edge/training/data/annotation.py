"""What is known about an image or a clip, whatever file it was read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.record import RGB, ImageSource, Turn, read_rgb

Object = tuple[XYXY, str]  # box in pixels, label


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: an array may be an image
class Annotation:
    """One image, or the frames of a clip, with whatever is known; boxes are in pixels of it."""

    images: tuple[ImageSource, ...]  # one; several of a clip, in their order
    captions: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ()  # all objects of every label that occurs
    phrases: tuple[tuple[str, XYXY], ...] = ()  # words that mean one region
    absent: tuple[str, ...] = ()  # words that mean nothing in this image
    questions: tuple[tuple[str, str], ...] = ()  # with their answers
    conversations: tuple[tuple[Turn, ...], ...] = ()  # each in its order; boxes in pixels
    question_types: tuple[str, ...] = ()  # of each, where the set says so: "count", "presence"
    scene: str = ""  # class of the whole image, one of those of its set
    origin: str = ""  # data set
    closed: frozenset[str] = frozenset()  # labels whose every object has a box, there or not
    # Labels of objects that a view cuts off, or that the set boxes in part (`*`: any): such are
    # never counted or denied
    cut: frozenset[str] = frozenset()
    upright: bool = False  # seen obliquely: it has an above and a below

    @property
    def image(self) -> ImageSource:
        """The only image, or the first frame."""
        return self.images[0]

    @property
    def path(self) -> Path:
        """The file of an image that was neither drawn nor taken from a video."""
        assert isinstance(self.image, Path)
        return self.image

    def read(self) -> Annotation:
        """The same with every image read.

        Raises:
            MediaError: a file is missing or no image.
        """
        return replace(self, images=tuple(map(read_rgb, self.images)))

    @property
    def rgb(self) -> RGB:
        """(H, W, 3) uint8 of an image that was read or drawn before."""
        assert isinstance(self.image, np.ndarray)
        return self.image


@dataclass(frozen=True, eq=False)
class DataSet:
    """Annotated images that share their words."""

    name: str
    annotations: tuple[Annotation, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels of all objects; what an image has none of is absent from it."""
        return tuple(sorted({name for item in self.annotations for _, name in item.objects}))

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Classes of all images."""
        return tuple(sorted({item.scene for item in self.annotations if item.scene}))
