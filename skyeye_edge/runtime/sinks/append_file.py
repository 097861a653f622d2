"""A file that only grows, by pieces that are whole or not there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from skyeye_edge.runtime.sinks.output import lock, writing


class AppendFile:
    """A file that is locked as long as it is open: two runs never write into each other's lines.

    Raises:
        OutputError: another run is writing this file.
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR if append else os.O_WRONLY
        with writing(path):
            self._file = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o644)
            try:
                lock(self._file, path)
                if not append and os.fstat(self._file).st_size:
                    os.ftruncate(self._file, 0)  # not by O_TRUNC: that would not wait for the lock
            except BaseException:
                os.close(self._file)
                raise
        self._open = True

    @property
    def size(self) -> int:
        """Bytes of it so far."""
        return os.fstat(self._file).st_size

    @property
    def is_there(self) -> bool:
        """Whether its name still means this file, which nobody has removed or put away."""
        try:
            found = os.stat(self.path)  # noqa: PTH116  # Path.stat does the same
        except OSError:
            return False
        mine = os.fstat(self._file)
        return (found.st_ino, found.st_dev) == (mine.st_ino, mine.st_dev)

    def write(self, data: bytes) -> None:
        """Append a piece, whole or not at all; it has left the process when this returns."""
        written = 0
        with writing(self.path):
            try:
                while written < len(data):  # a nearly full disk takes a part, then says it is full
                    written += os.write(self._file, data[written:])
            except OSError:
                self._take_back(written)
                raise

    def _take_back(self, written: int) -> None:
        if written:
            with suppress(OSError):  # then the piece stays torn; the reason is told anyway
                os.ftruncate(self._file, self.size - written)

    def cut_torn_line(self) -> None:
        """Take away what stands behind the last line's end: a line that was torn by a kill."""
        with writing(self.path):
            end = size = self.size
            while end > 0:
                begin = max(0, end - 65536)
                found = os.pread(self._file, end - begin, begin).rfind(b"\n")
                if found >= 0:
                    end = begin + found + 1
                    break
                end = begin
            if end < size:
                os.ftruncate(self._file, end)

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
