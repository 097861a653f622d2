"""What the runtime adds to the arithmetic: end to end against the calls of its two libraries.

    python benchmarks/overhead.py [--bundle PATH] [--frames 48] [--quick]

Every `session.run` and `llama_decode` is counted and timed while five tasks about every new frame
are answered. `ratio` is the bare sum of these calls divided by the time from the first question to
the last answer: 0.95 means that preprocessing, Python, queues and waiting add 5 % to it. It may
exceed 1, because vision encodes the next frame while language answers; `in_turn` is the same with
that switched off, where the sum can only be smaller than the whole.

What limits it: pixels are read and shrunk for every frame (they count as overhead here), and a few
microseconds of Python go with every token; so a large model comes close to 1, a tiny one does not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import skyeye_edge as sky
from calls import Calls, count_calls
from measure import DEMO, frames_of, report, use_cores
from skyeye_edge.runtime.model import FastPath
from skyeye_edge.runtime.question import Question

TASKS = (
    sky.Caption(),
    sky.Ground("the red car"),
    sky.Ground("a boat at the pier"),
    sky.Ground("the white house"),
    sky.Ask("How many cars are on the road?"),
)
LIMIT = 24  # tokens of every answer
WAYS: dict[str, tuple[FastPath, ...]] = {"as shipped": (), "in turn": ("overlap",)}


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--frames", type=int, default=48, help="of each way; default: 48")
    parser.add_argument("--block", type=int, default=8, help="frames of one turn; default: 8")
    parser.add_argument("--threads", type=int, help="default: as the runtime chooses")
    parser.add_argument("--quick", action="store_true", help="4 frames in turns of 2")
    args = parser.parse_args()
    if args.quick:
        args.frames, args.block = 4, 2
    use_cores()
    calls = count_calls()
    try:
        frames = frames_of(args.video, args.frames + 2, step=2)
        with ExitStack() as stack:
            models = {
                way: stack.enter_context(
                    sky.load(args.bundle, threads=args.threads, without=without)
                )
                for way, without in WAYS.items()
            }
            for model in models.values():
                answer_all(model, frames[:2])
            measured = measure(models, frames[2:], args.block, calls)
    except sky.SkyEyeError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return error.exit_code
    figures = {way: summary(blocks, args.block) for way, blocks in measured.items()}
    report(
        "overhead",
        {
            "bundle": args.bundle.name if args.bundle else "packaged",
            "ratio": figures["as shipped"]["ratio"],
            "in_turn": figures["in turn"]["ratio"],
            **figures,
            "frames": args.frames,
            "threads": args.threads or "chosen",
        },
    )
    return 0


def answer_all(model: sky.Model, frames: Sequence[sky.Frame]) -> float:
    """Seconds from the first question to the last answer, all handed over as a stream does."""
    started = time.perf_counter()
    asked = [model.submit(Question((each,), TASKS, max_tokens=LIMIT)) for each in frames]
    for each in asked:
        each.result()
    return time.perf_counter() - started


def measure(
    models: dict[str, sky.Model], frames: Sequence[sky.Frame], block: int, calls: Calls
) -> dict[str, list[dict[str, float]]]:
    """Wall and calls of every block by way, in turns."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in models}
    for first in range(0, len(frames) - block + 1, block):
        for way, model in models.items():
            calls.clear()
            wall = answer_all(model, frames[first : first + block])
            counts = {f"{name}_calls": float(count) for name, count in calls.number.items()}
            found[way].append({"wall": wall, **calls.seconds, **counts})
    return found


def summary(blocks: Sequence[dict[str, float]], block: int) -> dict[str, float]:
    """Per frame: milliseconds of each part, calls; and the share of the wall that they are."""
    ratios = [(each["encode"] + each["decode"]) / each["wall"] for each in blocks]
    frames = block * len(blocks)
    total = {name: sum(each[name] for each in blocks) / frames for name in blocks[0]}
    return {
        "ratio": statistics.median(ratios),
        "wall_ms": 1000 * total["wall"],
        "encode_ms": 1000 * total["encode"],
        "decode_ms": 1000 * total["decode"],
        "encode_calls": total["encode_calls"],
        "decode_calls": total["decode_calls"],
    }


if __name__ == "__main__":
    sys.exit(main())
