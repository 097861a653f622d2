"""Whatever FFmpeg opens by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skyeye_edge.runtime.sources.demuxing import Opened, opened_container
from skyeye_edge.runtime.sources.registry import Target


@contextmanager
def opened(target: Target) -> Iterator[Opened]:
    """What a target means to FFmpeg."""
    import av

    with av.open(target.text, "r", options=dict(target.options)) as container:
        yield opened_container(container)
