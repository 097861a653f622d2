"""Events as JSON Lines: one whole line per write, so that a kill tears at most the last one.

The file is locked as long as it is open: two runs never write into each other's lines.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks.output import lock, writing

log = logging.getLogger(__name__)


class JsonlSink:
    """Appends events to a file; every line has left the process when `write` returns.

    Raises:
        OutputError: another run is writing this file.
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND
        with writing(path):
            self._file = os.open(path, flags, 0o644)
            try:
                lock(self._file, path)
                if not append and os.fstat(self._file).st_size:
                    os.ftruncate(self._file, 0)  # not by O_TRUNC: that would not wait for the lock
            except BaseException:
                os.close(self._file)
                raise
        self._open = True

    def write(self, event: Event) -> None:
        """One line, whole or not at all."""
        self.write_line(event.to_json())

    def write_line(self, text: str) -> None:
        """One line that is JSON already, whole or not at all."""
        line = f"{text}\n".encode()
        written = 0
        with writing(self.path):
            try:
                while written < len(line):  # a nearly full disk takes a part, then says it is full
                    written += os.write(self._file, line[written:])
            except OSError:
                self._take_back(written)
                raise

    def _take_back(self, written: int) -> None:
        if written:
            with suppress(OSError):  # then the line stays torn; the reason is told anyway
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)

    def sync(self) -> None:
        """Put what was written on the disk."""
        with writing(self.path):
            os.fsync(self._file)

    def close(self) -> None:
        """Put the file on the disk, and give it free. Closing twice is fine."""
        if self._open:
            self._open = False
            try:
                self.sync()
            finally:
                os.close(self._file)


class PatientSink:
    """JSON Lines of a stream that goes on whatever the disk does.

    An event that cannot be written is lost as a whole, counted and told of; what comes after it is
    written as soon as the disk takes it.

    Raises:
        OutputError, InputError, SkyEyeError: only when it is opened, as for `JsonlSink`.
    """

    def __init__(self, path: Path) -> None:
        self.lost = 0  # events
        self._sink = JsonlSink(path)
        self._failing = False

    def write(self, event: Event) -> None:
        """One line, if there is room for it."""
        path = self._sink.path
        try:
            self._sink.write(event)
        except SkyEyeError as error:
            self.lost += 1
            if not self._failing:
                self._failing = True
                log.error(
                    "%s: %s; watching goes on, events are lost until it is mended",
                    path, _reason(error),
                )  # fmt: skip
            return
        if self._failing:
            self._failing = False
            log.error("%s: can be written again; %d events are missing so far", path, self.lost)

    def close(self) -> None:
        """Put the file on the disk. Closing twice is fine."""
        try:
            self._sink.close()
        except SkyEyeError as error:
            log.error("%s: %s", self._sink.path, _reason(error))
        if self._failing:
            self._failing = False
            log.error("%s: %d events are missing", self._sink.path, self.lost)


def _reason(error: SkyEyeError) -> str:
    """The system's words; ours say what to do about a file that can be written again as a whole."""
    cause = error.__cause__
    return (cause.strerror or str(cause)).lower() if isinstance(cause, OSError) else str(error)
