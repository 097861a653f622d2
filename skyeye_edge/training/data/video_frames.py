"""Frames of recorded videos as images of training samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import MediaError, needs

FRAMES = 4  # of a video, where nobody says
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a file, decoded when it is needed."""

    path: Path
    share: float  # of the file's length, 0 to below 1

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name


def clip_of(path: Path, frames: int) -> tuple[VideoFrame, ...]:
    """So many frames of a video, each from the middle of its part of the length."""
    return tuple(VideoFrame(path, (place + 0.5) / frames) for place in range(frames))


def read_frame(frame: VideoFrame) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the last picture that is shown at its time.

    Raises:
        MediaError: the file is missing, no video, or ends before.
    """
    with needs("training"):
        import av
    shown = None
    try:
        with av.open(str(frame.path)) as container:
            stream = container.streams.video[0]
            start, length = _begin_and_length(container, stream)
            time = start + frame.share * length
            container.seek(max(0, int(time * av.time_base)), backward=True)
            for picture in container.decode(stream):
                if shown is not None and picture.time is not None and picture.time > time + 1e-6:
                    break
                shown = picture
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"{frame.path}: not a readable video: {error}") from error
    if shown is None:
        raise MediaError(f"{frame.path}: no picture at {frame.share:.0%} of its length")
    return np.asarray(shown.to_ndarray(format="rgb24"))


def _begin_and_length(container: object, stream: object) -> tuple[float, float]:
    """In seconds; a file that states no length is read from its beginning."""
    base = getattr(stream, "time_base", None)
    start = getattr(stream, "start_time", None) or 0
    length = getattr(stream, "duration", None)
    if base and length:
        return float(start * base), float(length * base)
    whole = getattr(container, "duration", None) or 0
    return 0.0, whole / 1_000_000
