"""Many live sources, one model: answers per second in all, how old they are, memory per stream.

    python benchmarks/streams.py [--bundle PATH] [--seconds 20] [--rate 30] [--streams 1,2,4,8]

Every source gives so many pictures a second, as a camera does, and asks a caption and a grounding
about every one that it can; what comes too fast is dropped and counted. `ratio` is the answers per
second of the most streams divided by those of one: 1 where the model is busy with one already. The
age is from the arrival of a picture to its answer, 95 % are younger; `fairness` is the fewest
answers of a stream divided by the most.

What limits it: the arithmetic of one frame, as everywhere. With one source, the decoder and the
encoder wait for each other at times; with several they need not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import skyeye_edge as sky
from measure import DEMO, frames_of, report, resident_mib, use_cores
from skyeye_edge.core.events import AnswerEvent

TASKS = (sky.Caption(), sky.Ground("the car"))
PICTURES = 60  # of the video, in a loop


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each number; default: 20")
    parser.add_argument("--rate", type=float, default=30.0, help="pictures a second; default: 30")
    parser.add_argument("--streams", default="1,2,4,8", help="default: 1,2,4,8")
    parser.add_argument("--quick", action="store_true", help="1 and 2 streams, a second each")
    args = parser.parse_args()
    if args.quick:
        args.seconds, args.streams = 1.0, "1,2"
    use_cores()
    counts = [int(each) for each in args.streams.split(",")]
    try:
        pictures = [each.rgb for each in frames_of(args.video, PICTURES)]
        with sky.load(args.bundle) as model:
            model.warm_up()
            measure(model, pictures, 1, args.rate, min(2.0, args.seconds), 0.0)  # to warm up
            alone = resident_mib()
            rows = {
                str(count): measure(model, pictures, count, args.rate, args.seconds, alone)
                for count in counts
            }
    except sky.SkyEyeError as error:
        print(f"streams: {error}", file=sys.stderr)
        return error.exit_code
    first, last = rows[str(counts[0])], rows[str(counts[-1])]
    report(
        "streams",
        {
            "ratio": last["answers_per_second"] / first["answers_per_second"],
            "streams": rows,
            "rate": args.rate,
        },
    )
    return 0


def measure(
    model: sky.Model,
    pictures: Sequence[np.ndarray],
    count: int,
    rate: float,
    seconds: float,
    alone_mib: float,
) -> dict[str, float]:
    """So many streams side by side for so long."""
    cameras = [sky.Push() for _ in range(count)]
    ages: dict[str, list[float]] = {camera.name: [] for camera in cameras}
    reader = threading.Thread(target=read, args=(model, cameras, ages))
    reader.start()
    started = time.monotonic()
    for number in range(int(seconds * rate)):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        for offset, camera in enumerate(cameras):
            camera.push(pictures[(number + 7 * offset) % len(pictures)], time=number / rate)
    passed = time.monotonic() - started
    grown = resident_mib() - alone_mib
    for camera in cameras:
        camera.end()
    reader.join()
    answers = [len(each) for each in ages.values()]
    every_age = [age for each in ages.values() for age in each]
    return {
        "answers_per_second": sum(answers) / passed,
        "p50_age_ms": statistics.median(every_age),
        "p95_age_ms": float(np.percentile(every_age, 95)),
        "fairness": min(answers) / max(answers),
        "mib_per_stream": grown / count,
    }


def read(model: sky.Model, cameras: Sequence[sky.Push], ages: Mapping[str, list[float]]) -> None:
    """Note the age of every answer by its stream."""
    with model.streams(cameras, TASKS, every=0, gate=False) as events:
        for event in events:
            if isinstance(event, AnswerEvent):
                ages[event.source].append(event.timing_ms["age"])


if __name__ == "__main__":
    sys.exit(main())
