"""Events as JSON Lines: one whole line per write, so that a kill tears at most the last one.

The file is locked as long as it is open: two runs never write into each other's lines.
"""

from __future__ import annotations

import os
from pathlib import Path

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks.output import lock, writing


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
        """One line."""
        self.write_line(event.to_json())

    def write_line(self, text: str) -> None:
        """One line that is JSON already."""
        line = f"{text}\n".encode()
        with writing(self.path):
            while line:  # a nearly full disk takes a part; the next try says that it is full
                line = line[os.write(self._file, line) :]

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
