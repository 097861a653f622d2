"""Events of a recording to a subtitle file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks import srt, webvtt
from skyeye_edge.runtime.sinks.cues import build_cues
from skyeye_edge.runtime.sinks.output import replacing

CaptionFormat = Literal["vtt", "srt"]
FORMATS = {"vtt": (webvtt.HEADER, webvtt.cue_text), "srt": (srt.HEADER, srt.cue_text)}


def write_captions(events: Iterable[Event], path: Path, kind: CaptionFormat) -> None:
    """All cues of a recording as one file, whole or not at all.

    Raises:
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """
    header, cue_text = FORMATS[kind]
    cues = (cue_text(number, cue) for number, cue in enumerate(build_cues(events), start=1))
    with replacing(path) as part:
        part.write_text(header + "".join(cues), encoding="utf-8")
