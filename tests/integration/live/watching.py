"""Watching a live source in a test: what it gave, and what must hold of it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources import open_source

HERE = Path(__file__).resolve().parent.parent
LIMIT = 300.0  # seconds after which something hangs: no machine is so busy
Sender = subprocess.Popen[bytes]


def has_in_order(all_states: Iterable[str], wanted: Iterable[str]) -> bool:
    rest = iter(all_states)
    return all(state in rest for state in wanted)


class Watcher:
    """Reads a source in a thread, as a stream does, and keeps what it gave without the pixels."""

    def __init__(self, url: str, every: float, options: Mapping[str, str]) -> None:
        self.source = open_source(url, options=options)
        self.error: Exception | None = None  # that ended it
        self.items: list[Frame | SourceChange] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self._thread.start()

    def _watch(self, every: float) -> None:
        try:
            for item in self.source.items(every):
                with self._changed:
                    self.items.append(item)
                    self._changed.notify_all()
        except Exception as error:  # the test looks at it
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, LIMIT), self.states

    def wait_for_states(self, *states: str) -> None:
        """Until these have come in this order; a busy machine may see others between them."""
        self.wait(lambda: has_in_order(self.states, states))

    def wait_for_frames(self, number: int) -> None:
        known = len(self.frames)
        self.wait(lambda: len(self.frames) >= known + number)

    @property
    def states(self) -> list[str]:
        return [item.state for item in self.items if isinstance(item, SourceChange)]

    @property
    def causes(self) -> list[str]:
        return [item.cause for item in self.items if isinstance(item, SourceChange)]

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    def stop(self) -> None:
        """Until it has ended."""
        self.source.stop()
        self._thread.join(LIMIT)
        self.source.close()
        assert self.states[-1] == "ENDED"


def readers() -> list[int]:
    """Processes that this one started to read live sources and that still run."""
    lists = Path("/proc/self/task").glob("*/children")  # of the thread that started them
    own = [pid for children in lists for pid in children.read_text().split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in own}
    return [int(pid) for pid, command in commands.items() if b"live_reader" in command]


def check_counts(watcher: Watcher) -> None:
    """Every frame was answered, skipped or dropped; none was counted twice."""
    counts = Counts()
    for item in watcher.items:
        counts += item.before
    frames = watcher.frames
    assert counts.received == counts.skipped + sum(counts.dropped.values())
    received = counts.received + len(frames)
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert received >= indices[-1] + 1
    times = [frame.time for frame in frames]
    assert times == sorted(times)


def wait_until(condition: Callable[[], bool]) -> None:
    """Until something holds that only a file can tell; fails after the limit."""
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
