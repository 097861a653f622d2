"""Live sources and sinks for long: memory, threads, files, and how old pictures are when told of.

    python benchmarks/reliability.py [-o out/reliability] [--minutes 60] [--rate 12] [--every 0.5]

Cameras (clock_sender.py) draw the wall clock into each picture; a sink reads it from the pictures
that were asked about, so that `glass_to_event` is the time from the light to the event in a sink,
with encoder, network, reader, model and queues. `--minutes` is the length of the streams by their
time stamps; at a rate of 12 an hour takes five minutes. At such a rate nothing is idle, and ages
are those of a machine that has too much to do; `--rate 1` measures how it feels.

It ends with exit 1 where something grew: memory (parent and children) by more than 2 % from the
second fifth of the run to the last, or threads, open files, processes or sequences of the model; or
where a frame was lost without a cause. A sample a second goes to reliability.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import skyeye_edge as sky
from clock_sender import read_clock, seconds_since
from measure import REPO, report, resident_mib

SOURCES = ("udp", "udp", "rtp", "rtp")
TASKS = (sky.Caption(), sky.Ground("a boat"))
ALERTS = (sky.Alert("a boat"), sky.Alert("is there a road?", cooldown=5))
FIELDS = ("seconds", "memory_mib", "children_mib", "processes", "threads", "files", "sequences",
          "answers")  # fmt: skip
POINTS = 120  # of a plot
FLAT = 1.02  # memory at the end, of that after warming up
Sample = dict[str, float]


def main() -> int:
    """Run it; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=REPO / "out" / "reliability")
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--minutes", type=float, default=60.0, help="of video; default: 60")
    parser.add_argument("--rate", type=float, default=12.0, help="times real time; default: 12")
    parser.add_argument("--every", type=float, default=0.5, help="seconds of video; default: 0.5")
    parser.add_argument("--sources", default=",".join(SOURCES), help="kinds, of udp and rtp")
    parser.add_argument("--sinks", help="default: all that need no server")
    parser.add_argument("--quick", action="store_true", help="one source for some seconds")
    args = parser.parse_args()
    if args.quick:
        args.minutes, args.rate, args.sources, args.sinks = 0.4, 4.0, "udp", ""
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        figures = run(args)
    except sky.SkyEyeError as error:
        print(f"reliability: {error}", file=sys.stderr)
        return error.exit_code
    report("reliability", figures)
    grown = figures["grown"] and not args.quick  # which is too short to tell
    return 1 if grown or figures["unaccounted"] else 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of a run."""
    kinds = args.sources.split(",")
    wanted = (
        default_sinks(args.out) if args.sinks is None else list(filter(None, args.sinks.split(",")))
    )
    glass = Glass()
    with ExitStack() as stack:
        urls = [stack.enter_context(camera(kind, args.rate)) for kind in kinds]
        model = stack.enter_context(sky.load(args.bundle))
        model.warm_up()
        streams = stack.enter_context(
            model.streams(
                urls, TASKS, every=args.every, gate=False, alerts=ALERTS, sinks=[*wanted, glass]
            )
        )
        length = args.minutes * 60 / args.rate
        timer = threading.Timer(length, streams.stop)
        stack.callback(timer.cancel)
        watch = Watch(model)
        timer.start()
        alerts, summaries = 0, []
        with watch.sampling(glass, length):
            for event in streams:
                alerts += isinstance(event, sky.AlertEvent)
                if isinstance(event, sky.SummaryEvent):
                    summaries.append(event)
    write_csv(args.out / "reliability.csv", watch.samples)
    return build_figures(args, watch.samples, glass, summaries, alerts)


def default_sinks(out: Path) -> list[str]:
    """Every kind of sink that needs no server; what they write lies in `out`."""
    return [
        str(out / name)
        for name in ("events.jsonl", "captions.vtt", "captions.srt", "shots/{source}-{index}.jpg",
                     "video.mp4", "video.ts")
    ] + [f"unix:{out / 'events.sock'}", f"udp+json://127.0.0.1:{free_port()}"]  # fmt: skip


@contextmanager
def camera(kind: str, rate: float) -> Iterator[str]:
    """A sender in a process of its own, and the address at which it is heard."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("clock_sender.py"))]
    process = subprocess.Popen(
        [*command, f"{kind}://127.0.0.1:{port}", "--rate", str(rate)], stdin=subprocess.PIPE
    )
    try:
        yield f"{kind}://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A UDP port that nobody holds now, even, with the one above it free for RTCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port % 2 == 0:
                return port


class Glass:
    """A sink that knows how old each picture is when it is told of it."""

    name = "glass"

    def __init__(self) -> None:
        self.ages: list[float] = []  # seconds
        self.unreadable = 0

    def write(self, event: sky.Event, frame: sky.Frame | None) -> None:
        """Read the clock of a picture that was asked about."""
        if not isinstance(event, sky.AnswerEvent) or not event.frames or frame is None:
            return
        shown = read_clock(frame.rgb)
        if shown is None:
            self.unreadable += 1
        else:
            self.ages.append(seconds_since(shown))

    def close(self) -> None:
        """Nothing is open."""


class Watch:
    """Samples of what this process and its children hold, senders aside."""

    def __init__(self, model: sky.Model) -> None:
        self.samples: list[Sample] = []
        self._language = model._engine._language._language
        self._senders = set(descendants())  # those that run before a stream is read

    @contextmanager
    def sampling(self, glass: Glass, length: float) -> Iterator[None]:
        """A sample a second while the block runs, for so many seconds at most."""
        ended = threading.Event()

        def sample() -> None:
            began = time.monotonic()
            while not ended.wait(1.0) and (passed := time.monotonic() - began) < length:
                self.samples.append(self._sample(passed, len(glass.ages)))

        thread = threading.Thread(target=sample, name="samples")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _sample(self, seconds: float, answers: int) -> Sample:
        children = [pid for pid in descendants() if pid not in self._senders]
        held = [each for each in map(holdings, [os.getpid(), *children]) if each is not None]
        cache = self._language.cache
        return {
            "seconds": seconds,
            "memory_mib": resident_mib(),
            "children_mib": sum(memory for memory, _, _ in held[1:]),
            "processes": len(held),
            "threads": sum(threads for _, threads, _ in held),
            "files": sum(files for _, _, files in held),
            "sequences": self._language._context.options.sequences - cache.free,
            "answers": answers,
        }


def descendants() -> list[int]:
    """Children of this process, and theirs."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, ahead = [], [os.getpid()]
    while ahead:
        parent = ahead.pop()
        children = [pid for pid, of in parents.items() if of == parent]
        found += children
        ahead += children
    return found


def holdings(pid: int) -> tuple[float, int, int] | None:
    """Resident memory in MiB, threads and open files of a process; None if it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        threads = len(list((folder / "task").iterdir()))
        return resident_mib(pid), threads, len(list((folder / "fd").iterdir()))
    except (OSError, IndexError):
        return None


def build_figures(
    args: argparse.Namespace,
    samples: Sequence[Sample],
    glass: Glass,
    summaries: Sequence[sky.SummaryEvent],
    alerts: int,
) -> dict[str, Any]:
    """What is reported."""
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth] or samples[:1], samples[-fifth:]
    memory = [statistics.median(total_mib(each) for each in part) for part in (early, late)]
    grown = ["memory"] if memory[1] > FLAT * memory[0] else []
    grown += [
        name
        for name in ("processes", "threads", "files", "sequences")
        if statistics.median(each[name] for each in late) > max(each[name] for each in early)
    ]
    received = sum(each.counts.received for each in summaries)
    answered = sum(each.answered for each in summaries)
    skipped = sum(each.counts.skipped for each in summaries)
    dropped = sum(sum(each.counts.dropped.values()) for each in summaries)
    ages = np.array(glass.ages or [np.nan]) * 1000
    return {
        "ratio": memory[1] / memory[0],
        "minutes_of_video": args.minutes,
        "rate": args.rate,
        "sources": args.sources,
        "glass_to_event_ms": {
            f"p{share}": float(np.percentile(ages, share)) for share in (50, 95, 99)
        },
        "memory_mib": {"second fifth": memory[0], "last fifth": memory[1]},
        "last": {name: late[-1][name] for name in ("processes", "threads", "files", "sequences")},
        "grown": grown,
        "frames": {
            "received": received,
            "answered": answered,
            "skipped": skipped,
            "dropped": dropped,
        },
        "unaccounted": received - answered - skipped - dropped,
        "alert_events": alerts,
        "clocks_unreadable": glass.unreadable,
        "ages_ms": [float(np.percentile(ages, share)) for share in range(101)],
        "samples": {
            name: [float(each[name]) for each in samples[:: max(1, len(samples) // POINTS)]]
            for name in FIELDS
        },
    }


def total_mib(sample: Mapping[str, float]) -> float:
    """Memory of the parent and its children; pages that they share count twice."""
    return sample["memory_mib"] + sample["children_mib"]


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    """A row a sample."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows({key: round(value, 2) for key, value in each.items()} for each in samples)


if __name__ == "__main__":
    sys.exit(main())
