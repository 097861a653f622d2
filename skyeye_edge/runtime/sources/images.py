"""Images as a source: a folder or a numbered sequence is read like a video."""

from __future__ import annotations

import logging
import re
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
SEQUENCE = re.compile(r"%0?(\d*)d")  # as in frame_%05d.png
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


def find_sequence(pattern: Path) -> list[Path]:
    """Images whose names are numbered as in `frame_%05d.png`, by number.

    Raises:
        InputError: there is none.
    """
    before, number, after = _parts(pattern.name)
    name = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    folder = pattern.parent
    found = (
        [(name.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    )
    width = int(number or 0)  # %05d: at least five digits, with zeros in front
    images = sorted(
        (int(match[1]), path) for match, path in found if match and len(match[1]) >= width
    )
    if not images:
        raise InputError(f"{pattern}: no image in this folder is named so")
    return [path for _, path in images]


def is_sequence(path: Path) -> bool:
    """Whether a path is a pattern of numbered images, and no file."""
    return bool(SEQUENCE.search(path.name)) and not path.exists()


def _parts(name: str) -> list[str]:
    return [part or "" for part in SEQUENCE.split(name, maxsplit=1)]


class ImagesSource:
    """Image files in the given order, `step` seconds apart from 0 on.

    The source of each frame is its path as it was given: many folders hold a 1.jpg.

    Raises:
        InputError: there is none.
        MediaError: when read, if not a single one can be.
    """

    def __init__(self, paths: Sequence[Path], name: str = "", step: float = 1.0) -> None:
        if not paths:
            raise InputError("images: none was given")
        self.paths = tuple(paths)
        self.name = name or self.paths[0].parent.as_posix()
        self._step = step
        self._stopping = threading.Event()

    def items(self, every: float) -> Iterator[Item]:
        """One frame per image that is due; an unreadable one is counted under `decode`."""
        sampler = Sampler(every)
        before = Counts()
        for index, path in enumerate(self.paths):
            if self._stopping.is_set():
                break
            if not sampler.is_due(index * self._step):
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
                index * self._step,
                index,
                arrived=time.monotonic(),
                source=path.as_posix(),
                before=before,
                decoding=decoding,
            )
            before = Counts()
        cause = "stopped" if self._stopping.is_set() else "end of folder"
        yield SourceChange("ENDED", cause, 0, len(self.paths) * self._step, before)

    def stop(self) -> None:
        """End after the image that is being read."""
        self._stopping.set()

    def close(self) -> None:
        """The same as stop: no file is held open."""
        self.stop()
