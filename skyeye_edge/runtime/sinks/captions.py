"""Events of a recording to a file of subtitles, words or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks import srt, tsv, txt, webvtt
from skyeye_edge.runtime.sinks.output import replacing

CaptionFormat = Literal["vtt", "srt", "txt", "tsv"]
FORMATS: dict[CaptionFormat, Callable[[Iterable[Event]], Iterator[str]]] = {
    "vtt": webvtt.blocks,
    "srt": srt.blocks,
    "txt": txt.lines,
    "tsv": tsv.rows,
}


def write_captions(
    events: Iterable[Event], path: Path, kind: CaptionFormat, *, overwrite: bool = False
) -> None:
    """A whole recording as one file, complete or not at all.

    Raises:
        OutputError: `path` is not ours to replace, or another run is writing it.
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """
    with replacing(path, overwrite=overwrite) as part:
        part.write_text("".join(FORMATS[kind](events)), encoding="utf-8")
