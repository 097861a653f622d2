"""Where frames come from: one file per kind of source, and the choice among them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from skyeye_edge.core.address import check_is_no_address
from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.images import (
    IMAGE_SUFFIXES,
    ImagesSource,
    find_images,
    find_sequence,
    is_sequence,
)
from skyeye_edge.runtime.sources.live import LiveSource
from skyeye_edge.runtime.sources.registry import is_live
from skyeye_edge.runtime.sources.source import Source


def open_source(
    what: str | os.PathLike[str] | Source,
    *,
    options: Mapping[str, str] | None = None,
    keep_damaged: bool = False,
    skip: bool = True,
) -> Source:
    """The source that `what` means.

    Args:
        what: a video file, an image, a folder of images, a numbered sequence (frames/%05d.png), a
            live source (`live_target`), or a source such as `Push`, which is given back as it is.
        options: of the source, as {"rtsp_transport": "udp"}; a sequence has {"framerate": "25"}.
        keep_damaged: pictures of a video that the decoder marks as damaged are given too.
        skip: pictures of a file that nobody asks about are decoded only where others need them.

    Raises:
        InputError: there is no such file, or no source for such an address.
        MediaError: the file holds no picture that can be decoded.
    """
    if not isinstance(what, str | os.PathLike):
        if not all(hasattr(what, name) for name in ("name", "items", "stop", "close")):
            raise InputError(
                f"{what!r} is no source; give a file, a folder, an address such as "
                "rtsp://host:8554/path, or sky.Push()"
            )
        return what
    if is_live(what):
        return LiveSource(os.fspath(what), options=options, keep_damaged=keep_damaged)
    check_is_no_address(what)
    path = Path(what)
    if is_sequence(path):
        return ImagesSource(find_sequence(path), path.as_posix(), _step(options or {}))
    if options:
        raise InputError(f"source option {min(options)}: only live sources have options")
    if path.is_dir():
        return ImagesSource(find_images(path), path.as_posix())
    if path.suffix.lower() in IMAGE_SUFFIXES and path.exists():
        return ImagesSource([path], path.as_posix())
    return FileSource(path, keep_damaged=keep_damaged, skip=skip)


def _step(options: Mapping[str, str]) -> float:
    """Seconds between the images of a sequence."""
    rates = dict(options)
    text = rates.pop("framerate", "1")
    if rates:
        raise InputError(f"source option {min(rates)}: a sequence of images has framerate alone")
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise InputError(f"source option framerate: {text!r}; give images a second, such as 25")
    return 1 / rate
