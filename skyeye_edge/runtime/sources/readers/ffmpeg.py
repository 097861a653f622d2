"""Whatever FFmpeg opens by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skyeye_edge.runtime.sources.demuxing import Opened, opened_container
from skyeye_edge.runtime.sources.registry import Target


@contextmanager
def opened(target: Target, address: str = "") -> Iterator[Opened]:
    """What a target means to FFmpeg.

    Args:
        target: what is wanted.
        address: where it is, if that is not the target's text.
    """
    import av

    form = "v4l2" if target.kind == "v4l2" else None
    options = dict(target.options)
    with av.open(address or target.text, "r", format=form, options=options) as container:
        found = opened_container(container)
        if target.kind in ("http", "https") and (container.duration or 0) > 0:
            found.ending = "end of the video"  # a recording, and no live stream
        yield found
