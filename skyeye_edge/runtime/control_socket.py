"""Commands to running streams over a Unix socket: a line in, a line of JSON back.

Whoever may open the socket controls the streams, so only its owner may: its mode is 600. There is
no form of it that other machines could reach.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import InputError, SkyEyeError
from skyeye_edge.runtime.control import Control

log = logging.getLogger(__name__)
LONGEST_LINE = 2**16  # bytes
MOST_READERS = 16  # connections at a time
ANSWER_LIMIT = 5.0  # seconds; a program that does not read its answers is hung up on


class ControlSocket:
    """Obeys what comes over a socket; a context manager that removes it.

    Args:
        path: where the socket is made; one that nobody listens at any more is replaced.
        control: what obeys.

    Raises:
        InputError: the path is taken, or no socket can be made there.
    """

    def __init__(self, path: Path, control: Control) -> None:
        self._path, self._control = path, control
        self._server = _listen(path)
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._heard: dict[socket.socket, bytes] = {}  # the beginning of a line, by connection
        self._thread = threading.Thread(target=self._run, name=f"control {path}", daemon=True)
        self._thread.start()

    def __enter__(self) -> ControlSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._waker.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._server:
                        self._welcome()
                    else:
                        assert isinstance(key.fileobj, socket.socket)
                        self._hear(key.fileobj)
        finally:
            for connection in (*self._heard, self._woken, self._server):
                connection.close()
            self._selector.close()
            self._path.unlink(missing_ok=True)

    def _welcome(self) -> None:
        connection, _ = self._server.accept()
        if len(self._heard) == MOST_READERS:
            connection.close()
            return
        connection.settimeout(ANSWER_LIMIT)
        self._heard[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(LONGEST_LINE)
            *lines, rest = (self._heard[connection] + data).split(b"\n")
            for line in lines:
                connection.sendall(self._answer(line))
            self._heard[connection] = rest
        except OSError:
            data = b""
        if not data or len(self._heard[connection]) > LONGEST_LINE:
            del self._heard[connection]
            self._selector.unregister(connection)
            connection.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            result = {"ok": True, "result": self._control.obey(line.decode())}
        except (SkyEyeError, UnicodeDecodeError) as error:
            result = {"ok": False, "error": str(error)}
        except Exception as error:  # the socket serves on
            log.exception("control: %r failed", line[:80])
            result = {"ok": False, "error": f"unexpected {type(error).__name__}"}
        return json.dumps(result, ensure_ascii=False).encode() + b"\n"


def send_command(path: Path, line: str) -> Any:
    """What the streams that listen at a socket answer to a command.

    Raises:
        InputError: nobody listens there, or the command is refused.
        SkyEyeError: they ended before they answered.
    """
    with _connected(path) as connection:
        connection.sendall(line.replace("\n", " ").encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = answers.readline()
    if not answer:
        raise SkyEyeError(f"{path}: hung up without an answer")
    values = json.loads(answer)
    if not values["ok"]:
        raise InputError(values["error"])
    return values["result"]


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.fspath(path))
    except OSError as error:
        connection.close()
        raise InputError(
            f"{path}: nobody listens there ({error.strerror or error}); start with: "
            f"skyeye-edge watch ... --control {path}"
        ) from error
    return connection


def _listen(path: Path) -> socket.socket:
    if _is_served(path):
        raise InputError(f"{path}: another program listens there; give another --control")
    server = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # of a program that was killed
        os.fchmod(server.fileno(), 0o600)  # before it has a name: afterwards would be too late
        server.bind(os.fspath(path))
        server.listen()
    except OSError as error:
        server.close()
        raise InputError(f"{path}: no socket can be made ({error.strerror or error})") from error
    return server


def _is_served(path: Path) -> bool:
    with suppress(InputError), _connected(path):
        return True
    return False
