"""One training sample, in the same nouns that the runtime uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from skyeye_edge.core.boxes import Box, BoxSpec, Size, box_text
from skyeye_edge.core.errors import MediaError
from skyeye_edge.core.images import BROKEN
from skyeye_edge.core.parsing import format_answer
from skyeye_edge.core.results import PLACE, TaskResult
from skyeye_edge.core.tasks import Task
from skyeye_edge.training.data.video_frames import VideoFrame, read_frame

RGB = npt.NDArray[np.uint8]
ImageSource = Path | VideoFrame | RGB  # a file, a frame of one, or (H, W, 3) uint8 RGB


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer to learn."""

    task: Task | str  # a str is an instruction as it stands
    target: TaskResult
    boxes: tuple[Box, ...] = ()  # that stand in the instruction, in the places of its `PLACE`s

    def written(self, size: Size, boxes: BoxSpec) -> tuple[Task | str, str]:
        """Task, or instruction with its boxes, and the answer, as the model reads and writes them.

        Args:
            size: (width, height) of the image.
            boxes: how the model writes boxes.
        """
        answer = format_answer(self.target, size, boxes)
        if not isinstance(self.task, str):
            return self.task, answer
        words = self.task
        for box in self.boxes:
            words = words.replace(PLACE, box_text(box.xyxy, size, boxes, box.angle), 1)
        return words, answer


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Images and a conversation about them."""

    images: tuple[ImageSource, ...]
    turns: tuple[Turn, ...]
    source: str = ""  # data set
    split: str = "train"


def read_rgb(image: ImageSource) -> RGB:
    """(H, W, 3) uint8 of a record's image; EXIF orientation is applied.

    Raises:
        MediaError: the file is missing, or no image or video.
    """
    if isinstance(image, VideoFrame):
        return read_frame(image)
    if not isinstance(image, Path):
        return image
    try:
        with Image.open(image) as opened:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except BROKEN as error:
        raise MediaError(f"{image}: not a readable image: {error}") from error


def sizes_of(images: Sequence[RGB]) -> list[tuple[int, int]]:
    """(width, height) of each image."""
    return [(image.shape[1], image.shape[0]) for image in images]
