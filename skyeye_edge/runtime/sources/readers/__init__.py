"""How the packets of each kind of live source are got; one file each, in the child process only."""

from __future__ import annotations

from contextlib import AbstractContextManager

from skyeye_edge.runtime.sources.demuxing import Opened
from skyeye_edge.runtime.sources.readers import ffmpeg
from skyeye_edge.runtime.sources.registry import Target


def open_reader(target: Target) -> AbstractContextManager[Opened]:
    """Opens a target, with the reader of its kind."""
    return ffmpeg.opened(target)
