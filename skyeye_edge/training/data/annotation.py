"""What is known about an image, whatever file it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.builders.boxes import Object
from skyeye_edge.training.data.record import RGB


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: an array may be the image
class Annotation:
    """One image with whatever people wrote about it; boxes are in its pixels."""

    image: Path | RGB
    captions: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ()  # all objects of every label that occurs
    phrases: tuple[tuple[str, XYXY], ...] = ()  # words that mean one region
    absent: tuple[str, ...] = ()  # words that mean nothing in this image
    questions: tuple[tuple[str, str], ...] = ()  # with their answers
    scene: str = ""  # class of the whole image


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
