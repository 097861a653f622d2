"""What is drawn on a picture for an answer: boxes, their phrases and scores, and the caption."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.drawing import Drawing, build_drawing
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.results import caption


def draw_answer(rgb: npt.NDArray[np.uint8], event: AnswerEvent) -> npt.NDArray[np.uint8]:
    """A copy of (H, W, 3) `rgb` with the boxes, their phrases and scores, and the caption.

    Boxes are scaled from the size in the event, so `rgb` may be of another size.
    """
    return answer_drawing(event, rgb.shape).on(rgb)


def answer_drawing(event: AnswerEvent, shape: tuple[int, ...]) -> Drawing:
    """The same, prepared for many pictures of one shape, (H, W, 3)."""
    height, width = shape[:2]
    named = [entry for result in event.results for entry in result.named_boxes()]
    return build_drawing(named, caption(event.results), event.size, (width, height))
