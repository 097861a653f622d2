"""Guessing how an answer goes on: fewer calls of llama_decode, the same answers, never slower.

    python benchmarks/drafts.py [--video FILE] [--frames 200] [--every S] [--quick]

The same pictures of a clip, in order, a caption and a grounding each, are answered with drafts and
without, in turns. `ratio` is the calls without divided by the calls with; `slower` the bootstrap
upper bound (97.5 %) of the median of (time with / time without), which must not exceed 1.03. Every
answer is compared, token by token; `different` must be 0.

What limits it: a guess comes from the last answers to the same question, so it is good where the
picture changes slowly. The first answers, numbers of boxes and a new scene cost what they cost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import skyeye_edge as sky
from calls import Calls, count_calls
from measure import DEMO, report, use_cores
from skyeye_edge.runtime import FileSource
from skyeye_edge.runtime.model import FastPath
from skyeye_edge.runtime.question import Question

TASKS = (sky.Caption(), sky.Ground("the car"))
WAYS: dict[str, tuple[FastPath, ...]] = {"with": (), "without": ("drafts",)}
SAMPLES = 2000


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--frames", type=int, default=200, help="most of them; default: 200")
    parser.add_argument("--every", type=float, default=0.0, help="seconds; default: every frame")
    parser.add_argument("--quick", action="store_true", help="8 frames")
    args = parser.parse_args()
    use_cores()
    calls = count_calls()
    try:
        frames = clip(args.video, 8 if args.quick else args.frames, args.every)
        with ExitStack() as stack:
            models = {
                way: stack.enter_context(sky.load(args.bundle, without=without))
                for way, without in WAYS.items()
            }
            for model in models.values():
                model.warm_up()
            figures = measure(models, frames, calls)
    except sky.SkyEyeError as error:
        print(f"drafts: {error}", file=sys.stderr)
        return error.exit_code
    report("drafts", {"video": args.video.name, **figures})
    return 0


def clip(video: Path, number: int, every: float) -> list[sky.Frame]:
    """Up to so many pictures of a video in order."""
    source = FileSource(video)
    frames: list[sky.Frame] = []
    try:
        for item in source.items(every=every):
            if isinstance(item, sky.Frame):
                frames.append(item)
            if len(frames) == number:
                break
    finally:
        source.close()
    if not frames:
        raise sky.MediaError(f"{video}: holds no picture")
    return frames


def measure(
    models: dict[str, sky.Model], frames: Sequence[sky.Frame], calls: Calls
) -> dict[str, object]:
    """Calls, times and answers of both ways, frame by frame, the order changing each time."""
    number, seconds = dict.fromkeys(models, 0), {way: list[float]() for way in models}
    different = tokens = 0
    for index, frame in enumerate(frames):
        said = {}
        for way in sorted(models, reverse=index % 2 == 1):
            calls.clear()
            started = time.perf_counter()
            answer = models[way].answer(Question((frame,), TASKS))
            seconds[way].append(time.perf_counter() - started)
            number[way] += calls.number["decode"]
            said[way] = [reply.ids for reply in answer.replies]
        different += said["with"] != said["without"]
        tokens += sum(map(len, said["with"]))
    ratios = [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)]
    return {
        "ratio": number["without"] / number["with"],
        "decode_calls_per_frame": {way: count / len(frames) for way, count in number.items()},
        "tokens_per_frame": tokens / len(frames),
        "different": different,
        "time": statistics.median(ratios),
        "slower": upper_bound(ratios),
        "ms_per_frame": {way: 1000 * statistics.median(each) for way, each in seconds.items()},
        "frames": len(frames),
    }


def upper_bound(values: Sequence[float]) -> float:
    """97.5 % of the bootstrapped medians lie below it."""
    random = np.random.default_rng(0)
    drawn = random.choice(np.array(values), (SAMPLES, len(values)))
    return float(np.percentile(np.median(drawn, axis=1), 97.5))


if __name__ == "__main__":
    sys.exit(main())
