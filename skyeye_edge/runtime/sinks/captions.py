"""Events to subtitle files: cue by cue while watching, or whole files of a recording."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks import srt, webvtt
from skyeye_edge.runtime.sinks.cues import Cue, CueMaker, build_cues
from skyeye_edge.runtime.sinks.output import replacing, writing

CaptionFormat = Literal["vtt", "srt"]
FORMATS = {"vtt": (webvtt.HEADER, webvtt.cue_text), "srt": (srt.HEADER, srt.cue_text)}


class CaptionSink:
    """Writes each cue when its end is known; a killed program leaves whole cues.

    Raises:
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """

    def __init__(self, path: Path, kind: CaptionFormat) -> None:
        self.path = path
        header, self._text = FORMATS[kind]
        self._cues = CueMaker()
        self._number = 0
        with writing(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)
        self._open = True
        self._append(header)

    def write(self, event: Event) -> None:
        """The cue that ends with this event, if there is one."""
        self._write(self._cues.add(event))

    def close(self) -> None:
        """Write the last cue. Closing twice is fine."""
        if self._open:
            self._open = False
            try:
                self._write(self._cues.close())
            finally:
                os.close(self._file)

    def _write(self, cue: Cue | None) -> None:
        if cue is not None:
            self._number += 1
            self._append(self._text(self._number, cue))

    def _append(self, text: str) -> None:
        data = text.encode()
        with writing(self.path):
            while data:
                data = data[os.write(self._file, data) :]


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
