"""Events as JSON Lines: one whole line per write, so that a kill tears at most the last one."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skyeye_edge.core.errors import InputError, OutputError, SkyEyeError
from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.run_record import LONGEST_LINE, is_event_file, parse_record
from skyeye_edge.runtime.sinks.append_file import AppendFile
from skyeye_edge.runtime.sinks.output import make_folder, new_file, writing

log = logging.getLogger(__name__)
MIB = 2**20


class JsonlSink:
    """The lines of one file; every line has left the process when `write` returns.

    Raises:
        OutputError: another run is writing this file.
        InputError: the file cannot be written.
        SkyEyeError: the disk is full.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self._file = AppendFile(path, append=append)

    def write(self, event: Event) -> None:
        """One line, whole or not at all."""
        self.write_line(event.to_json())

    def write_line(self, text: str) -> None:
        """One line that is JSON already, whole or not at all."""
        self._file.write(f"{text}\n".encode())

    def sync(self) -> None:
        """Put what was written on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Put the file on the disk, and give it free. Closing twice is fine."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """How a stream's lines are kept."""

    fsync: Literal["never", "each"] | float = 5.0
    """When lines are put on the disk itself, so that they survive a power cut: after each line,
    after so many seconds, or when the system likes (a crash of this program costs nothing)."""
    rotate_mib: float | None = None  # a file that is longer is ended, and the next one begun
    rotate_minutes: float | None = None  # likewise of one that is older
    keep: int | None = None  # of the files that were rotated the newest stay; None: all
    spool: int = 1000  # events that wait in memory while the disk is full

    @property
    def rotates(self) -> bool:
        """Whether there is more than one file."""
        return self.rotate_mib is not None or self.rotate_minutes is not None


class JsonlStreamSink:
    """JSON Lines of a stream: goes on whatever the disk does, and never begins a file anew.

    What a kill or a power cut has torn is cut off before lines are added. A file that is taken away
    (a log rotation, a stick that is pulled) is begun again under its name.

    Args:
        path: of the file; with rotation `flight.jsonl` means flight.00001.jsonl and so on.
        settings: when lines reach the disk, and how long files get.

    Raises:
        OutputError: `path` holds something else than events, or another run is writing it.
        InputError: it cannot be written.
        SkyEyeError: the disk is full.
    """

    wants_frames = False
    keeps_all = True

    def __init__(
        self,
        path: Path,
        settings: JsonlSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or JsonlSettings()
        if self._settings.keep is not None and not (self._settings.rotates and self._settings.keep):
            raise InputError(f"{path}: keep=N needs N > 0 and rotate_mib=N or rotate_minutes=N")
        self.name = str(path)
        self.spool = self._settings.spool
        self._wanted = path
        self._clock = clock
        self._file: AppendFile | None = None
        self._open()

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self._wanted if self._file is None else self._file.path

    def write(self, event: Event, frame: Frame | None) -> None:
        """One line, whole or not at all."""
        if self._file is not None and not self._file.is_there:
            self._let_go()
        if self._file is None or self._is_full(self._file):
            self._let_go()
            self._open()
        assert self._file is not None
        try:
            self._file.write(f"{event.to_json()}\n".encode())
        except SkyEyeError:
            self._let_go()  # a stick that was pulled: its name may mean something else by then
            raise
        self._sync_if_due(self._file)

    def close(self) -> None:
        """Put the file on the disk. Closing twice is fine."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> None:
        path = self._next_path() if self._settings.rotates else self._wanted
        check_takes_events(path)
        file = AppendFile(path, append=True)
        try:
            file.cut_torn_line()
        except BaseException:
            with suppress(SkyEyeError):
                file.close()
            raise
        self._file = file
        self._began = self._synced = self._clock()
        self._remove_old()

    def _let_go(self) -> None:
        with suppress(SkyEyeError):
            self.close()

    def _is_full(self, file: AppendFile) -> bool:
        mib, minutes = self._settings.rotate_mib, self._settings.rotate_minutes
        if mib is not None and file.size >= mib * MIB:
            return True
        return minutes is not None and self._clock() - self._began >= 60 * minutes

    def _sync_if_due(self, file: AppendFile) -> None:
        policy = self._settings.fsync
        now = self._clock()
        seconds = {"each": 0.0, "never": float("inf")}.get(str(policy))
        if now - self._synced >= (float(policy) if seconds is None else seconds):
            self._synced = now
            try:
                file.sync()
            except SkyEyeError as error:  # the line is written: it must not be tried again
                log.error("%s", error)

    def _next_path(self) -> Path:
        """The name behind the last; five digits, so that names sort as the files were written."""
        rotated = self._rotated()
        number = 1 + int(rotated[-1].stem.rpartition(".")[2]) if rotated else 1
        return self._wanted.with_name(f"{self._wanted.stem}.{number:05}{self._wanted.suffix}")

    def _rotated(self) -> list[Path]:
        name, suffix = re.escape(self._wanted.stem), re.escape(self._wanted.suffix)
        mine = re.compile(rf"{name}\.[0-9]{{5,}}{suffix}")
        with writing(self._wanted):
            there = [each for each in self._wanted.parent.iterdir() if mine.fullmatch(each.name)]
        return sorted(there, key=lambda each: (len(each.name), each.name))

    def _remove_old(self) -> None:
        if self._settings.keep is not None:
            for path in self._rotated()[: -self._settings.keep]:
                with suppress(OSError):
                    if is_event_file(path):
                        path.unlink()


def check_takes_events(path: Path) -> None:
    """Refuse to add events to what is not a stream's events; raises OutputError."""
    if not path.is_file():  # new, or a device, which takes what it is given
        return
    with writing(path), path.open("rb") as file:
        first = file.readline(LONGEST_LINE).decode("utf-8", "replace")
    if not is_event_file(path):
        raise OutputError(f"{path}: holds something else than events; give another name")
    if parse_record(first) is not None:
        raise OutputError(
            f"{path}: holds the answers about a recording, which --resume reads; give another name"
        )


def new_jsonl(folder: Path, *, empty: bool = True) -> Path:
    """A name in `folder` that nobody had, made of the time; raises InputError, SkyEyeError.

    Args:
        folder: made if it is not there.
        empty: make an empty file of that name, so that nobody else takes it.
    """
    make_folder(folder)
    name = time.strftime("watch-%Y%m%dT%H%M%SZ", time.gmtime())
    return new_file(folder, name, ".jsonl") if empty else folder / f"{name}.jsonl"
