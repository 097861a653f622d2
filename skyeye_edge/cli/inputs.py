"""The files that positional arguments mean: folders give their images and videos, by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from skyeye_edge.core.address import check_is_no_address
from skyeye_edge.core.errors import InputError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
)


def expand(inputs: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the images and then the videos directly in them.

    Raises:
        InputError: something is not there, or a folder holds neither.
    """
    found: list[Path] = []
    for path in inputs:
        check_is_no_address(path)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        found += _listed(path) if path.is_dir() else [path]
    return found


def is_image(path: Path) -> bool:
    """Whether the name is that of an image."""
    from skyeye_edge.runtime.sources.images import IMAGE_SUFFIXES

    return path.suffix.lower() in IMAGE_SUFFIXES


def _listed(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.iterdir()
        # what an earlier run with --annotate left here is no input
        if not path.name.startswith(".") and not path.stem.endswith(".annotated")
    )
    images = [path for path in files if is_image(path)]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    if not images and not videos:
        raise InputError(f"{folder}: neither an image nor a video in this folder")
    return images + videos
