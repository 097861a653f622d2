"""Commands typed into the terminal while a stream runs."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable

WAKE = 0.5  # seconds between looks whether this program is in front


class Keyboard:
    """Hands each typed line over, from a thread of its own; a context manager that ends it.

    Does nothing where standard input is no terminal. Behind `&` a program that reads from its
    terminal is stopped by the system, so it is read only while we are in front.
    """

    def __init__(self, obey: Callable[[str], None]) -> None:
        self._obey = obey
        self._leaving = threading.Event()

    def __enter__(self) -> Keyboard:
        if sys.stdin is not None and sys.stdin.isatty():
            threading.Thread(target=self._run, name="keyboard", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()

    def _run(self) -> None:
        terminal = sys.stdin.fileno()
        while not self._leaving.is_set():
            try:
                if os.tcgetpgrp(terminal) != os.getpgrp():
                    self._leaving.wait(WAKE)
                elif select.select([terminal], [], [], WAKE)[0]:
                    line = os.read(terminal, 4096)
                    if not line:
                        return
                    self._obey(line.decode(errors="replace").strip())
            except OSError:  # the terminal is gone
                return
