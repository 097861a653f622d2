"""Image to pixel values: the one function that training and runtime share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.spec import PreprocessSpec, Resize, VisionSpec

_GAPS: Mapping[Resize, float | None] = {"pillow-bicubic": None, "pillow-bicubic-reduced": 1.5}
Pixels = npt.NDArray[np.float32]
VisualTokens = npt.NDArray[np.float32]


def preprocess(rgb: npt.NDArray[np.uint8], spec: VisionSpec) -> Pixels:
    """Image to the pixel values the encoder was trained on.

    Args:
        rgb: (H, W, 3) uint8, H and W at least 1; not modified.
        spec: edge length S, how the image becomes a square, mean and std.

    Returns:
        (1, 3, S, S) float32, normalised per channel.

    Source: Pillow's antialiasing bicubic. No other resizer equals it within several grey levels.
    """
    square = FITS[spec.preprocess.fit](Image.fromarray(rgb), spec.image_size, spec.preprocess)
    return normalise(np.asarray(square), spec.preprocess)[None]


def _stretched(image: Image.Image, side: int, spec: PreprocessSpec) -> Image.Image:
    """Straight to a square, aspect ratio ignored (MiniGPT-v2, blip_processors.py)."""
    return _resized(image, (side, side), spec)


def _padded(image: Image.Image, side: int, spec: PreprocessSpec) -> Image.Image:
    """In the middle of a square of the mean colour (LLaVA, mm_utils.py)."""
    colour = tuple(int(level * 255) for level in spec.mean)
    whole = max(image.size)
    square = Image.new("RGB", (whole, whole), colour)
    square.paste(image, ((whole - image.width) // 2, (whole - image.height) // 2))
    return _resized(square, (side, side), spec)


def _cropped(image: Image.Image, side: int, spec: PreprocessSpec) -> Image.Image:
    """The shorter edge to the side, then the middle (Hugging Face's CLIPImageProcessor)."""
    short = min(image.size)
    width, height = (int(side * edge / short) for edge in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    small = _resized(image, (width, height), spec)
    return small.crop((left, top, left + side, top + side))


def _resized(image: Image.Image, size: tuple[int, int], spec: PreprocessSpec) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAPS[spec.resize])


FITS: Mapping[str, Callable[[Image.Image, int, PreprocessSpec], Image.Image]] = MappingProxyType(
    {"stretch": _stretched, "pad": _padded, "crop": _cropped}
)


def normalise(rgb: npt.NDArray[np.uint8], spec: PreprocessSpec) -> Pixels:
    """(..., H, W, 3) uint8 to (..., 3, H, W) float32, by a table of the 256 values per channel."""
    levels = (np.arange(256, dtype=np.float32) / 255)[:, None]
    table = (levels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    channels = [table[:, channel][rgb[..., channel]] for channel in range(3)]
    return np.stack(channels, axis=-3).astype(np.float32, copy=False)
