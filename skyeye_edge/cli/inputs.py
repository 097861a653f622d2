"""The files that positional arguments mean: folders give their images and videos, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.address import check_is_no_address
from skyeye_edge.core.errors import InputError, MediaError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
)
# what an earlier run left in a folder is no input
OUR_NAME = re.compile(r"\.(skyeye\.\w+|annotated\.\w+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to be asked about."""

    path: Path
    under: Path = Path()  # where its outputs go, below -o: as the inputs lie to each other


@dataclass(frozen=True, slots=True)
class Found:
    """What a command line names."""

    entries: tuple[Entry, ...]
    left_alone: int = 0  # files in folders that are neither image nor video, nor ours


def expand(inputs: Sequence[Path], *, recursive: bool = False) -> Found:
    """Files as they are, folders as the images and then the videos in them.

    The outputs of a folder below a folder go to a folder of that name, and so do those of several
    inputs: `A/1.mp4` and `B/1.mp4` do not meet.

    Args:
        inputs: files and folders.
        recursive: search folders to the bottom; links to folders are not followed.

    Raises:
        InputError: something is not there, or a folder holds neither.
    """
    found = Found(())
    for path in inputs:
        check_is_no_address(path)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if not path.is_dir():
            found = Found((*found.entries, Entry(path)), found.left_alone)
            continue
        under = Path(path.resolve().name) if len(inputs) > 1 else Path()
        inside = _inside(path, under, recursive=recursive)
        if not inside.entries:
            deeper = "" if recursive else "; --recursive searches the folders in it"
            raise InputError(f"{path}: neither an image nor a video in this folder{deeper}")
        found = _joined(found, inside)
    return found


def is_image(path: Path) -> bool:
    """Whether the name is that of an image."""
    from skyeye_edge.runtime.sources.images import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES


def check_readable(path: Path) -> None:
    """Refuse a link to nothing and what this user may not read; raises MediaError."""
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        what = "a link to nothing" if path.is_symlink() else "it is gone"
        raise MediaError(f"{path}: {what}; it is left out") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error


def _inside(folder: Path, under: Path, *, recursive: bool) -> Found:
    """Images and videos of a folder by name, then those of the folders in it."""
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # not readable: reported when its turn comes
        return Found((Entry(folder, under),))
    # A link to nothing counts as a file: whoever put it there wants to hear that it is broken.
    files = [path for path in inside if path.is_file() or not path.exists()]
    files = [path for path in files if not OUR_NAME.search(path.name)]
    images = [path for path in files if is_image(path)]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    entries = tuple(Entry(path, under) for path in (*images, *videos))
    found = Found(entries, len(files) - len(entries))
    for path in inside if recursive else ():
        if path.is_dir() and not path.is_symlink():
            found = _joined(found, _inside(path, under / path.name, recursive=True))
    return found


def _joined(one: Found, other: Found) -> Found:
    return Found((*one.entries, *other.entries), one.left_alone + other.left_alone)
