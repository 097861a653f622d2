"""Events as JSON Lines: one whole line per write, so that a kill tears at most the last one."""

from __future__ import annotations

import os
from pathlib import Path

from skyeye_edge.core.events import Event
from skyeye_edge.runtime.sinks.output import writing


class JsonlSink:
    """Appends events to a file; every line has left the process when `write` returns.

    Raises:
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        begin = os.O_APPEND if append else os.O_TRUNC
        with writing(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | begin, 0o644)
        self._open = True

    def write(self, event: Event) -> None:
        """One line."""
        line = (event.to_json() + "\n").encode()
        with writing(self.path):
            while line:  # a nearly full disk takes a part; the next try says that it is full
                line = line[os.write(self._file, line) :]

    def close(self) -> None:
        """Put the file on the disk. Closing twice is fine."""
        if self._open:
            self._open = False
            with writing(self.path):
                try:
                    os.fsync(self._file)
                finally:
                    os.close(self._file)
