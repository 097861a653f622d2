"""Clips whose frames carry their number, made by FFmpeg's encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

Rgb = npt.NDArray[np.uint8]
MakeClip = Callable[..., Path]


def numbered(index: int, width: int, height: int) -> Rgb:
    """A grey picture, darker to the right, whose top left corner is red; the grey is the number."""
    rgb = np.full((height, width, 3), 60 + 3 * (index % 60), np.uint8)
    rgb[:, width // 2 :] //= 2
    rgb[: height // 4, : width // 4] = (255, 0, 0)
    return rgb


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """A function that writes a clip of numbered frames and gives its path."""

    def make(
        times_ms: Sequence[int] = tuple(range(0, 3000, 100)),
        *,
        name: str = "clip.mp4",
        codec: str = "libx264",
        size: tuple[int, int] = (160, 96),
        rotation: int = 0,
        pixel_format: str = "yuv420p",
        options: dict[str, str] | None = None,
        ticks: int = 1000,  # a second; a raw stream tells its frame rate only where this is it
    ) -> Path:
        path = tmp_path_factory.mktemp("clips") / name
        with av.open(f"file:{path}", "w", options=options or {}) as output:
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = Fraction(1, ticks)
            stream.options = {"preset": "ultrafast", "g": "10"}
            if rotation:
                stream.set_display_rotation(rotation)
            output.start_encoding()
            for index, milliseconds in enumerate(times_ms):
                frame = av.VideoFrame.from_ndarray(numbered(index, *size), "rgb24")
                frame.pts = milliseconds * ticks // 1000
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make
