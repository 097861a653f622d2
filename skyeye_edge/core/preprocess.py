"""Image to pixel values: the one function that training and runtime share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.spec import PreprocessSpec, VisionSpec

Pixels = npt.NDArray[np.float32]
VisualTokens = npt.NDArray[np.float32]


def preprocess(rgb: npt.NDArray[np.uint8], spec: VisionSpec) -> Pixels:
    """Image to the pixel values the encoder was trained on.

    Args:
        rgb: (H, W, 3) uint8, H and W at least 1; not modified.
        spec: edge length S, resize rule, mean and std.

    Returns:
        (1, 3, S, S) float32, normalised per channel.

    Source: RGB, straight to a square with Pillow's antialiasing bicubic, aspect ratio ignored
        (MiniGPT-v2, blip_processors.py). No other resizer equals it within several grey levels.
    """
    side = spec.image_size
    small = Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC)
    return normalise(np.asarray(small), spec.preprocess)[None]


def normalise(rgb: npt.NDArray[np.uint8], spec: PreprocessSpec) -> Pixels:
    """(..., H, W, 3) uint8 to (..., 3, H, W) float32, by a table of the 256 values per channel."""
    levels = (np.arange(256, dtype=np.float32) / 255)[:, None]
    table = (levels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    channels = [table[:, channel][rgb[..., channel]] for channel in range(3)]
    return np.stack(channels, axis=-3).astype(np.float32, copy=False)
