"""The parent's end of a live reader process: starting it, hearing it, ending it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.messages import HEADER, Request

POLITE = 0.4  # seconds that a child gets to count its frames and leave
CHUNK = 1 << 20

# A fresh interpreter, and not multiprocessing: that would import the user's program a second time.
# The address comes through standard input, because everybody may read a command line. It comes
# last: what takes longest is to be ready, and that a process can be before it is needed.
PROGRAM = """
import ctypes, json, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: it does not outlive its parent
def read():
    line = b""
    while not line.endswith(b"\\n"):
        line += os.read(0, 1) or sys.exit()
    return json.loads(line)
output = os.dup(1)
os.dup2(2, 1)
sys.path[:] = read()
import av
from skyeye_edge.runtime.sources.live_reader import run
from skyeye_edge.runtime.sources.messages import parse_request
run(parse_request(read()), 0, output)
"""

Message = tuple[dict[str, Any], bytearray]  # what it says, and the pixels of a frame


class ReaderProcess:
    """One opening of a source, in a process of its own; a context manager that ends it.

    Args:
        inherited: file descriptors that it gets besides its own three.
    """

    def __init__(self, inherited: Sequence[int] = ()) -> None:
        if not sys.executable:
            raise InputError("live sources need sys.executable: set it to a Python interpreter")
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=CHUNK,  # 1080p: a third of the CPU time of the usual 64 KiB
            pass_fds=inherited,
            start_new_session=True,  # Ctrl-C in a terminal is for us, we end it
        )
        self._buffer = bytearray()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._wishes, self._messages = self._process.stdin, self._process.stdout
        path = [entry or str(Path.cwd()) for entry in sys.path]
        self._write(json.dumps(path).encode() + b"\n")

    @property
    def pid(self) -> int:
        """Process id, for logs and tests."""
        return self._process.pid

    def begin(self, request: Request) -> None:
        """Open what is requested. To be called once."""
        self._write(json.dumps(asdict(request)).encode() + b"\n")

    def ask(self) -> None:
        """Want one frame."""
        self._write(b"1")

    def receive(self, limit: float) -> Message | None:
        """The next message, or None if it did not come within `limit` seconds.

        Raises:
            EOFError: the process is gone.
        """
        until = time.monotonic() + limit
        while (message := self._message()) is None:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._messages], [], [], left)[0]:
                return None
            data = os.read(self._messages.fileno(), CHUNK)
            if not data:
                raise EOFError
            self._buffer += data
        return message

    def leave(self) -> None:
        """Ask it to end; its last message is still to be received."""
        self._wishes.close()

    def __enter__(self) -> ReaderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The only interrupt that FFmpeg cannot ignore; with whatever the reader has started.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._wishes.close()
        self._messages.close()

    def _message(self) -> Message | None:
        if len(self._buffer) < HEADER.size:
            return None
        head, body = HEADER.unpack_from(self._buffer)
        begin, end = HEADER.size + head, HEADER.size + head + body
        if len(self._buffer) < end:
            return None
        values = json.loads(self._buffer[HEADER.size : begin])
        pixels = self._buffer[begin:end]
        del self._buffer[:end]
        return values, pixels

    def _write(self, data: bytes) -> None:
        try:
            self._wishes.write(data)
        except (BrokenPipeError, ValueError):  # it has ended; `receive` will say so
            return
