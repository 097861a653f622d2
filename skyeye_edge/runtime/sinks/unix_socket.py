"""Events as JSON Lines from a Unix socket, to as many readers as connect."""

from __future__ import annotations

import logging
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.errors import InputError, OutputError
from skyeye_edge.core.events import Event, StateEvent
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.output import writing

log = logging.getLogger(__name__)
LONGEST_PATH = 107  # bytes; what Linux has room for


@dataclass(frozen=True, slots=True)
class UnixSocketSettings:
    """Whom a socket serves."""

    readers: int = 16  # at once
    behind_kib: int = 1024  # what may wait for one of them; who is further behind is let go


class _Reader:
    """A program that has connected, and what it has not taken yet."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.number = number
        self._connection = connection
        self._connection.setblocking(False)
        self._waiting = bytearray()

    @property
    def behind(self) -> int:
        """Bytes that wait."""
        return len(self._waiting)

    def send(self, data: bytes) -> bool:
        """Send what it takes without waiting; False if it has gone."""
        self._waiting += data
        try:
            while self._waiting:
                del self._waiting[: self._connection.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._connection.close()


class UnixSocketSink:
    """A socket at a path: who connects gets the state of each source, and then every event.

    A reader that does not read is let go when too much waits for it; it may connect again.

    Raises:
        OutputError: somebody else serves this path, or it is a file.
        InputError: it cannot be made.
    """

    wants_frames = False

    def __init__(self, path: Path, settings: UnixSocketSettings | None = None) -> None:
        self._settings = settings or UnixSocketSettings()
        self.name = f"unix:{path}"
        self._path = path
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise InputError(f"{self.name}: longer than {LONGEST_PATH} bytes; give a shorter path")
        _remove_dead(path)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with writing(path):
                hidden = path.with_name(f".{os.getpid()}")  # until it can be connected to
                hidden.unlink(missing_ok=True)
                self._server.bind(os.fspath(hidden))
                self._server.listen(self._settings.readers)
                hidden.replace(path)
        except BaseException:
            self._server.close()
            raise
        self._server.setblocking(False)
        self._inode = path.stat().st_ino
        self._readers: list[_Reader] = []
        self._states: dict[str, bytes] = {}  # the last one of each source
        self._number = 0
        self.let_go = 0  # readers that were too slow

    def write(self, event: Event, frame: Frame | None) -> None:
        """Send it to all who are there; whoever is too slow costs the others nothing."""
        self._greet()
        line = f"{event.to_json()}\n".encode()
        if isinstance(event, StateEvent):
            self._states[event.source] = line
        self._readers = [reader for reader in self._readers if self._serves(reader, line)]

    def close(self) -> None:
        """End all connections, and take the socket away. Closing twice is fine."""
        self._server.close()
        for reader in self._readers:
            reader.send(b"")
            reader.close()
        self._readers = []
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # not one that somebody made since
                self._path.unlink()

    def _greet(self) -> None:
        """Let in who has knocked since the last event."""
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # nobody more, or no descriptor for one: who is there is served
                return
            self._number += 1
            reader = _Reader(connection, self._number)
            if len(self._readers) >= self._settings.readers or not reader.send(
                b"".join(self._states.values())
            ):
                reader.close()
            else:
                self._readers.append(reader)

    def _serves(self, reader: _Reader, line: bytes) -> bool:
        """Send a line; False for a reader that has gone or is let go."""
        if not reader.send(line):
            reader.close()
            return False
        if reader.behind > self._settings.behind_kib * 1024:
            self.let_go += 1
            log.warning(
                "%s: reader %d does not read, and is let go (%d so far)",
                self.name, reader.number, self.let_go,
            )  # fmt: skip
            reader.close()
            return False
        return True


def _remove_dead(path: Path) -> None:
    """Take away the socket that a killed run has left; raises OutputError for anything else."""
    try:
        found = path.lstat()
    except OSError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OutputError(f"unix:{path}: is a file; give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError:
            pass
    raise OutputError(f"unix:{path}: another run serves it; wait until it ends, or give another")
