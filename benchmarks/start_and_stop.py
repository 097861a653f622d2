"""How long the command line takes to start, and a watched stream to end after Ctrl-C.

    python benchmarks/start_and_stop.py [--runs 9]

What limits the figures: starting is Python itself (the row `python`) and the modules that a help
page needs, none of them heavy. Ending is the answer under way, the reader process that is killed,
and the interpreter's own end; the stream here has no sender, so no answer is under way.

Kinds of start are interleaved. No test holds these figures: a busy machine is no mistake of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import skyeye_edge as sky

HERE = [sys.executable]
STARTS = {
    "python": [*HERE, "-c", ""],
    "import skyeye_edge": [*HERE, "-c", "import skyeye_edge"],
    "skyeye-edge --help": [*HERE, "-m", "skyeye_edge", "--help"],
}
WATCH = [*HERE, "-m", "skyeye_edge", "watch", "udp://127.0.0.1:9", "--json"]


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(description="time to start, and to end after Ctrl-C")
    parser.add_argument("--runs", type=int, default=9, help="of each kind; default: 9")
    runs = parser.parse_args().runs
    kinds: dict[str, Callable[[], float]] = {
        name: lambda command=command: start_ms(command)  # type: ignore[misc]  # bound now, not late
        for name, command in STARTS.items()
    }
    kinds["Ctrl-C to the end of watch"] = stop_ms
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(runs):
        for name, measure in kinds.items():
            spent[name].append(measure())
    print(f"{'milliseconds':<28}{'median':>10}{'best':>10}{'worst':>10}")
    for name, values in spent.items():
        row = statistics.median(values), min(values), max(values)
        print(f"{name:<28}" + "".join(f"{value:>10.0f}" for value in row))
    medians = {name: round(statistics.median(values), 1) for name, values in spent.items()}
    machine = {"cores": os.cpu_count(), "machine": platform.machine()}
    versions = {"skyeye-edge": sky.__version__, "python": platform.python_version()}
    figures = {"median_ms": medians, "runs": runs, "machine": machine, "versions": versions}
    print(json.dumps({"benchmark": "start_and_stop", **figures}))
    return 0


def start_ms(command: list[str]) -> float:
    """From start to end of a program that does nothing else."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def stop_ms() -> float:
    """From Ctrl-C to the end of `skyeye-edge watch`, once it is at work."""
    with subprocess.Popen(WATCH, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as job:
        assert job.stdout is not None
        job.stdout.readline()  # CONNECTING
        began = time.perf_counter()
        job.send_signal(signal.SIGINT)
        job.stdout.read()
        job.wait()
        return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
