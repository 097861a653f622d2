"""Writing files so that a failure has a clear message and leaves nothing half done."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skyeye_edge.core.errors import InputError, SkyEyeError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around code that writes `path`: the system's errors in our words.

    Raises:
        SkyEyeError: the disk is full or fails.
        InputError: the folder does not exist or must not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise SkyEyeError(
                f"{path}: the disk is full; make room, then run again with --resume"
            ) from error
        if error.errno == errno.EIO:
            raise SkyEyeError(f"{path}: the disk reports an error ({error.strerror})") from error
        raise InputError(f"{path}: cannot be written ({error.strerror}); check -o") from error


def make_folder(folder: Path) -> None:
    """The folder and its parents, if they are not there; raises InputError if it cannot be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block ends well, and vanishes if it does not.

    Its name is always the same, so that the rest of a killed run is overwritten by the next one.
    """
    part = path.with_name(path.name + ".part")
    with writing(path):
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
