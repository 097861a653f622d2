"""What another program writes to our standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from skyeye_edge.runtime.sources.causes import End, SourceEnded
from skyeye_edge.runtime.sources.demuxing import Opened, opened_container
from skyeye_edge.runtime.sources.registry import Target


class Pipe:
    """A file descriptor as a file that FFmpeg reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ended = False

    def read(self, size: int) -> bytes:
        """Some bytes; at the end none."""
        data = os.read(self._descriptor, size)
        self.ended = not data
        return data


@contextmanager
def opened(target: Target) -> Iterator[Opened]:
    """A stream of any kind that FFmpeg knows by its first bytes; the target's text is a number."""
    import av

    options = dict(target.options)
    known = options.pop("format", None)
    pipe = Pipe(int(target.text))
    try:
        with av.open(pipe, "r", format=known, options=options) as container:
            found = opened_container(container)
            found.ending = "standard input has ended"
            yield found
    except (av.FFmpegError, SourceEnded) as error:
        if pipe.ended:  # there is no second one
            words = "standard input has ended, and is no video that can be read"
            raise SourceEnded(End(words, final=True)) from error
        raise
