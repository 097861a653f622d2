"""Pictures as H.264: what every video that is written has in common."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from skyeye_edge.runtime.sources.pixels import BT601, BT709, HD_HEIGHT, LIMITED_RANGE

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

TICK = Fraction(1, 90_000)  # seconds; rounding to it moves a frame by less than 0.01 ms


def add_stream(
    output: OutputContainer,
    rgb: npt.NDArray[np.uint8],
    rate: Fraction,
    options: Mapping[str, str],
) -> VideoStream:
    """A stream of the size of (H, W, 3) `rgb`, whose ticks are fine enough for any frame rate."""
    stream = output.add_stream("libx264", rate=rate, options=dict(options))
    stream.height, stream.width = rgb.shape[:2]
    stream.pix_fmt = "yuv420p"
    matrix = BT709 if stream.height >= HD_HEIGHT else BT601
    context = stream.codec_context
    context.time_base = TICK
    context.colorspace, context.color_range = matrix, LIMITED_RANGE
    return stream


def fitted(rgb: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """`rgb` at the size of the first frame: a video may change its size on the way."""
    if rgb.shape[:2] == (height, width):
        return rgb
    import cv2

    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def even(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """H.264 halves its colours: an odd last row or column is doubled."""
    height, width = rgb.shape[:2]
    if height % 2 == width % 2 == 0:
        return rgb
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
