"""Subtitles of a stream, while it goes on: the file is valid at every moment.

A cue is there as soon as its answer is, and ends some seconds later. When the next answer comes, or
says the same, the time of its end is written over in place, by one write of twelve characters: so a
kill leaves the old end or the new one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.core.events import AnswerEvent, Event, StateEvent
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks import srt, webvtt
from skyeye_edge.runtime.sinks.append_file import AppendFile
from skyeye_edge.runtime.sinks.cues import LONGEST, Cue, answer_lines, clock
from skyeye_edge.runtime.sinks.output import new_file, writing

log = logging.getLogger(__name__)
SubtitleFormat = Literal["vtt", "srt"]
_TEXTS: Mapping[SubtitleFormat, tuple[str, str, Callable[[int, Cue], str]]] = {
    "vtt": ("WEBVTT\n\n", ".", webvtt.cue_text),
    "srt": ("", ",", srt.cue_text),
}


@dataclass(frozen=True, slots=True)
class SubtitleSettings:
    """How a stream's subtitles are kept."""

    spool: int = 1000  # events that wait in memory while the disk is full


class SubtitleSink:
    """The answers of one source as WebVTT or SubRip; equal ones in a row are one cue.

    Args:
        path: ends in .vtt or .srt. Where a file is already, a number is put behind the name:
            subtitles begin at 0, and cannot be gone on with.
        settings: see there.

    Raises:
        InputError: it cannot be written.
        SkyEyeError: the disk is full.
    """

    wants_frames = False
    keeps_all = True

    def __init__(self, path: Path, settings: SubtitleSettings | None = None) -> None:
        self.spool = (settings or SubtitleSettings()).spool
        kind: SubtitleFormat = "srt" if path.suffix.lower() == ".srt" else "vtt"
        head, self._mark, self._text = _TEXTS[kind]
        self.path = new_file(path.parent, path.stem, path.suffix)
        if self.path != path:
            log.warning("%s: is there already; this run writes %s", path, self.path.name)
        self.name = str(self.path)
        self._file = AppendFile(self.path)
        try:
            self._file.write(head.encode())
        except BaseException:
            with suppress(OSError):
                self.path.unlink()
            raise
        self._number = 0
        self._cue: Cue | None = None  # that stands there now
        self._end_at = 0  # byte of the file at which its end is written
        self._last = 0.0  # when the last cue began: they stand in order

    def write(self, event: Event, frame: Frame | None) -> None:
        """Begin a cue, let the one that stands there last longer, or end it."""
        match event:
            case AnswerEvent():
                lines = answer_lines(event.results) if event.frames else None
                if self._cue is not None and lines in (None, self._cue.lines):
                    self._end_cue(event.time + LONGEST)
                elif lines is not None:
                    self._next_cue(event.time, lines)
            case StateEvent(state="ENDED"):
                self._end_cue(event.time)
                self._cue = None
            case _:
                pass

    def close(self) -> None:
        """Put the file on the disk. Closing twice is fine."""
        self._file.close()

    def _next_cue(self, time: float, lines: tuple[str, ...]) -> None:
        start = max(self._last, time)
        cue = Cue(start, start + LONGEST, lines)
        if lines:
            text = self._text(self._number + 1, cue)
            before, arrow, _ = text.partition(" --> ")
            end_at = self._file.size + len((before + arrow).encode())
            self._file.write(text.encode())  # first: if it fails, all is as it was
        with suppress(SkyEyeError):  # the new cue is written, and must not be tried again
            self._end_cue(start)
        self._last = start
        self._cue = None
        if lines:
            self._number += 1
            self._cue, self._end_at = cue, end_at

    def _end_cue(self, time: float) -> None:
        """The cue that stands there ends at `time`."""
        if self._cue is None:
            return
        end = clock(max(time, self._cue.start + 0.001), self._mark).encode()
        if len(end) != len(clock(self._cue.end, self._mark)):  # past 99 hours it has more digits
            return
        with writing(self.path):
            # another descriptor: this one appends, whatever place it is told
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(file, end, self._end_at)
            finally:
                os.close(file)
