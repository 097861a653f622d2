"""How a picture is seen, put together from steps: which part of it, and in which colours.

Every step is called with a picture, the side of the view in pixels, and what draws.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.views.augment import crop_around, random_crop, tinted, view_of

View = Callable[[Annotation, int, random.Random], Annotation]


def whole(item: Annotation, side: int, chance: random.Random) -> Annotation:
    """All of it."""
    return view_of(item, side, chance)


@dataclass(frozen=True, slots=True)
class Cropped:
    """A part of at least `lowest` of the area."""

    lowest: float

    def __call__(self, item: Annotation, side: int, chance: random.Random) -> Annotation:
        """The view."""
        return view_of(item, side, chance, crop=random_crop(item, chance, self.lowest))


@dataclass(frozen=True, slots=True)
class Zoomed:
    """A part around an object; the share `whole` of the views shows all."""

    whole: float

    def __call__(self, item: Annotation, side: int, chance: random.Random) -> Annotation:
        """The view."""
        crop = None if chance.random() < self.whole else crop_around(item, chance)
        return view_of(item, side, chance, crop=crop)


@dataclass(frozen=True, slots=True)
class Uncut:
    """A part of at least `lowest`, or around an object where there is one, that cuts none off.

    Where it would, or where an object gets too small, all is seen, and as a last resort the picture
    as it is: what is cut off would be called absent. So is the picture of a conversation, of which
    nobody knows what it speaks of.
    """

    lowest: float

    def __call__(self, item: Annotation, side: int, chance: random.Random) -> Annotation:
        """The view."""
        if item.conversations:
            return item
        around = crop_around(item, chance) if item.objects else None
        crop = around or random_crop(item, chance, self.lowest)
        seen = view_of(item, side, chance, crop=crop)
        if seen.cut - item.cut:
            seen = view_of(item, side, chance)
        return item if seen.cut - item.cut else seen


@dataclass(frozen=True, slots=True)
class Tinted:
    """A view whose colours are changed by up to `strength`."""

    view: View
    strength: float

    def __call__(self, item: Annotation, side: int, chance: random.Random) -> Annotation:
        """The view."""
        return tinted(self.view(item, side, chance), chance, self.strength)
