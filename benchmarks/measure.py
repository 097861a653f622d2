"""What the benchmarks share: the machine, pictures, contestants in processes, and the last line.

A contestant is a program of `contestants/` that says one JSON line when it is ready, and answers
every JSON line of its stdin with one of its stdout. Whoever waits for a line sleeps, so that only
the one that was asked takes time, and several can be asked in turns within one run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import skyeye_edge as sky
from skyeye_edge.runtime import FileSource, versions

REPO = Path(__file__).resolve().parents[1]
DEMO = REPO / "skyeye_edge" / "assets" / "demo.mp4"
CORES = 2
LONG = 12  # numbers that are no more to be read by people


def use_cores(wanted: int = CORES) -> None:
    """Leave this process and its children the first cores only, so that machines compare."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:wanted])


def resident_mib(process: int | str = "self") -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_model() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def frames_of(
    video: Path, number: int, *, step: int = 1, least: int | None = None
) -> list[sky.Frame]:
    """Pictures of a video, every `step`th one, from the start; `least` of them, or all.

    Raises:
        SkyEyeError: it cannot be read, or is too short.
    """
    source = FileSource(video)
    try:
        pictures = (item for item in source.items(every=0) if isinstance(item, sky.Frame))
        found = list(islice(pictures, 0, number * step, step))
    finally:
        source.close()
    if len(found) < (number if least is None else least):
        raise sky.InputError(f"{video}: {len(found)} pictures are too few")
    return found


class Contestant:
    """A program that is asked in turns with others."""

    def __init__(self, name: str, command: Sequence[str | Path], **environment: str) -> None:
        """Start it and wait until it is ready."""
        self.name = name
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPO), **environment},
            text=True,
            bufsize=1,
        )
        self.facts = self._line()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer, with the `seconds` that passed here."""
        assert self._process.stdin is not None
        started = time.perf_counter()
        self._process.stdin.write(json.dumps(question) + "\n")
        answer = self._line()
        return {"seconds": time.perf_counter() - started, **answer}

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise sky.BackendError(f"{self.name}: ended with exit {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it by ending its questions."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def closing_all(contestants: Iterable[Contestant]) -> Iterator[list[Contestant]]:
    """Contestants as they start, all ended afterwards."""
    with ExitStack() as stack:
        started = []
        for contestant in contestants:
            stack.callback(contestant.close)
            started.append(contestant)
        yield started


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over neighbouring measurements: what the machine did meanwhile hits both."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def report(benchmark: str, figures: Mapping[str, Any]) -> None:
    """Print figures for people, and last one line of JSON with them, the machine and the date."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            print(f"{name}:")
            for part, number in value.items():
                print(f"  {part:24} {_short(number)}")
        else:
            print(f"{name:26} {_short(value)}")
    shared = os.environ.get("SKYEYE_SHARED") or REPO.parent / "shared"
    words = [
        word.replace(f"{REPO}/", "").replace(f"{shared}/", "$SKYEYE_SHARED/")
        for word in sys.argv[1:]
    ]
    facts = {
        "machine": {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))},
        "load": [round(each, 1) for each in os.getloadavg()],
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
    }
    print(json.dumps({"benchmark": benchmark, **_rounded(figures), **facts}))


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, list) and len(value) > LONG:
        return f"{len(value)} numbers"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def read_images(folder: Path, count: int) -> list[sky.Frame]:
    """`count` evenly spaced images of a folder, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = paths[:: max(1, len(paths) // count)][:count]
    if not chosen:
        raise SystemExit(f"{folder}: no images ({', '.join(SUFFIXES)})")
    return [
        sky.Frame(np.asarray(Image.open(path).convert("RGB")), source=path.name) for path in chosen
    ]
