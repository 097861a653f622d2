"""Programs that read what FFmpeg cannot, as files that it reads."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType

from skyeye_edge.runtime.sources.causes import End, SourceEnded

PR_SET_PDEATHSIG = 1


class Program:
    """A program that writes a stream to its standard output; it ends with us.

    Args:
        command: what to start. Everybody on the machine can read it.
        ended: why there is no more, for people; what it says itself may hold secrets.
    """

    def __init__(self, command: Sequence[str], ended: str) -> None:
        self._ended = ended
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            preexec_fn=_die_with_parent,  # no other thread runs here yet
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self._output, self.input = self._process.stdout, self._process.stdin

    def read(self, size: int) -> bytes:
        """Some bytes, as soon as there are some.

        Raises:
            SourceEnded: the program has ended.
        """
        data = os.read(self._output.fileno(), size)
        if not data:
            raise SourceEnded(End(self._ended))
        return data

    def read_exactly(self, size: int) -> bytearray:
        """So many bytes."""
        data = bytearray()
        while len(data) < size:
            data += self.read(size - len(data))
        return data

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()
        self.input.close()


def _die_with_parent() -> None:
    """Also where the parent is killed and cannot end its child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
