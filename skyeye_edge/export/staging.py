"""A folder is written beside its target and takes its place in one step, or leaves no trace."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skyeye_edge.core.errors import BundleError, InputError

MARK = "manifest.json"  # what tells a bundle from any other folder
_REQUEST_ERRORS = {
    errno.EEXIST,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


@contextmanager
def staged(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty folder that becomes `target` when the block ends well, and vanishes otherwise.

    A process that is killed leaves the old or the new bundle whole. What may remain beside it are
    `.NAME.exporting` and `.NAME.old`, which the next export cleans, or, killed between two renames,
    the old bundle as `NAME.old` and nothing called NAME.

    Args:
        target: where the bundle shall stand.
        replace: move a bundle that stands there to `NAME.old` first, and delete that last.

    Raises:
        InputError: the target exists (without `replace`), is no bundle, or cannot be written.
        BundleError: writing failed, for example because the disk is full.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100  # resolve() would follow a link
    _check_target(target, replace=replace)
    folder = target.with_name(f".{target.name}.exporting")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _owned(folder):
            shutil.rmtree(_rubbish(target), ignore_errors=True)
            try:
                yield folder
                _flush(folder)
                _swap(folder, target, replace=replace)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        kind = InputError if error.errno in _REQUEST_ERRORS else BundleError
        # numpy gives neither a number nor a reason when a file takes less than it was given.
        reason = error.strerror or f"no space left on the disk ({error})"
        raise kind(
            f"{target}: cannot be written: {reason} ({error.filename or folder}). "
            "Nothing was changed; make room or choose another folder, then export again"
        ) from error


def _check_target(target: Path, *, replace: bool) -> None:
    old = _old(target)
    if not replace:
        if os.path.lexists(target):
            raise InputError(f"{target} exists already; choose another name or add --replace")
        return
    for path in (target, old):
        if path.is_symlink() or (path.exists() and not (path / MARK).is_file()):
            raise InputError(f"{path} is not a bundle's folder: --replace would delete it")


def _old(target: Path) -> Path:
    return target.with_name(f"{target.name}.old")


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """`folder`, empty, and locked for this process until the block or the process ends."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may have been renamed to its target between the lines above.
            is_ours = os.path.samestat(os.fstat(descriptor), folder.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise InputError(f"{folder}: another export is writing there; wait until it has ended")
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield
    finally:
        os.close(descriptor)


def _flush(folder: Path) -> None:
    """Bring every file to the disk: a rename may otherwise overtake what it names."""
    for path in (folder, *folder.rglob("*")):
        _flush_entry(path)


def _swap(folder: Path, target: Path, *, replace: bool) -> None:
    old = _old(target)
    if replace and target.exists():
        if old.exists():  # an earlier export was killed; the target is whole
            _discard(old, _rubbish(target))
        target.rename(old)
    folder.rename(target)
    _flush_entry(target.parent)
    if replace and old.exists():
        _discard(old, _rubbish(target))


def _rubbish(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _discard(old: Path, rubbish: Path) -> None:
    """Delete a bundle under another name: half deleted, it must not look like one."""
    old.rename(rubbish)
    shutil.rmtree(rubbish)


def _flush_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
