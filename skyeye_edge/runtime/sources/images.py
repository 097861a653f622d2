"""Images by name as a source: a folder is read like a video of one picture per second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.images import as_frame
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.sources.timing import Sampler

log = logging.getLogger(__name__)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


def find_images(folder: Path) -> list[Path]:
    """Images directly in a folder, by name; hidden files are left out.

    Raises:
        InputError: there is none, or no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    images = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not images:
        raise InputError(f"{folder}: no image in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return images


class ImagesSource:
    """Image files in the given order, at media times 0, 1, 2, ... seconds.

    The source of each frame is its path as it was given: many folders hold a 1.jpg.

    Raises:
        InputError: there is none.
        MediaError: when read, if not a single one can be.
    """

    def __init__(self, paths: Sequence[Path], name: str = "") -> None:
        if not paths:
            raise InputError("images: none was given")
        self.paths = tuple(paths)
        self.name = name or self.paths[0].parent.as_posix()
        self._stopping = threading.Event()

    def items(self, every: float) -> Iterator[Item]:
        """One frame per image that is due; an unreadable one is counted under `decode`."""
        sampler = Sampler(every)
        before = Counts()
        for index, path in enumerate(self.paths):
            if self._stopping.is_set():
                break
            if not sampler.is_due(float(index)):
                before += Counts(1, 1)
                continue
            began = time.perf_counter()
            try:
                rgb = as_frame(path).rgb
            except MediaError as error:
                if len(self.paths) == 1:
                    raise
                log.warning("%s", error)
                before += Counts(1, 0, {"decode": 1})
                continue
            decoding = time.perf_counter() - began
            yield Frame(
                rgb,
                float(index),
                index,
                arrived=time.monotonic(),
                source=path.as_posix(),
                before=before,
                decoding=decoding,
            )
            before = Counts()
        cause = "stopped" if self._stopping.is_set() else "end of folder"
        yield SourceChange("ENDED", cause, 0, float(len(self.paths)), before)

    def stop(self) -> None:
        """End after the image that is being read."""
        self._stopping.set()

    def close(self) -> None:
        """The same as stop: no file is held open."""
        self.stop()
