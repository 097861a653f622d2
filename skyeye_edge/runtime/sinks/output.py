"""Writing files so that a failure has a clear message and leaves nothing half done."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from skyeye_edge.core.errors import InputError, OutputError, SkyEyeError
from skyeye_edge.runtime.sinks.ownership import check_free, note

log = logging.getLogger(__name__)
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


def lock(file: int, path: Path) -> None:
    """Keep other runs out of an open file until it is closed, be it by a kill.

    Args:
        file: its descriptor.
        path: its name.

    Raises:
        OutputError: another run holds it.
    """
    if not stat.S_ISREG(os.fstat(file).st_mode):
        return  # a pipe or device belongs to everybody
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"{path}: another run is writing this file; wait until it ends, or give another -o"
        ) from error
    except OSError as error:  # some network file systems have no locks
        log.warning("%s: cannot be locked (%s); let no second run write here", path, error.strerror)


def make_folder(folder: Path) -> None:
    """The folder and its parents, if they are not there; raises InputError if it cannot be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def new_file(folder: Path, stem: str, suffix: str) -> Path:
    """An empty file in `folder` under a name that nobody had: `stem`, or with a number behind it.

    Raises:
        InputError, SkyEyeError: as `writing` says.
    """
    with writing(folder):
        for number in count(1):
            path = folder / f"{stem}{'' if number == 1 else f'-{number}'}{suffix}"
            with suppress(FileExistsError):
                path.touch(exist_ok=False)
                break
    return path


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block ends well, and vanishes if it does not.

    Its name is always the same, so that the rest of a killed run is overwritten by the next one;
    a lock keeps two runs at the same time apart.

    Args:
        path: what is to be written.
        overwrite: also where something stands that we did not write.

    Raises:
        OutputError: another run is writing it, or `path` is not ours to replace.
        SkyEyeError, InputError: as `writing` says.
    """
    part = path.with_name(path.name + ".part")
    with writing(path), _locked(part):
        try:
            check_free([path], overwrite=overwrite)
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            check_free([path], overwrite=overwrite)  # it may have come meanwhile
            note(path, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """`part` exists and is ours inside the block."""
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        lock(file, part)
        yield
    finally:
        os.close(file)
