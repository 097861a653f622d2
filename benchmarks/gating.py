"""What the gate saves on hover, pan and fast flight, and what it misses.

    python benchmarks/gating.py [--seconds 30] [--rate 10] [--clip NAME=FILE]... [--quick]

Three clips are cut from frames of the demo clip, as a camera would see them: hovering (it trembles
by two pixels, noise, the light drifts), panning (four pixels a frame) and fast flight (forty). In
each, a vehicle of 5 % of the width appears for four seconds: a white, a red and a black one. The
gate judges every frame; what it lets through is encoded. `--clip` measures files of your own.

    saved         share of the encodings that every frame would have taken
    worst_age     media seconds since the frame that a carried answer is about
    heard_within  longest time without any sign of life
    missed        of the vehicles: those that no frame was let through for
    late          seconds from its appearance to the frame that was let through, at most
    gate_ms       what judging one frame takes

With a model (unless --judge-only), every carried answer is also compared with what asking about
that very frame would have said: `stale` is the share of all frames whose grounding would have been
another (found instead of absent, or a box that overlaps by less than half), `flicker` the share
that differs between two neighbouring frames when every one of them is asked: the model's own.

`ratio` is frames divided by encodings while hovering. What limits it: the change measure looks at
cells of 1.6 % of the width, so what is smaller goes unseen until the next renewal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import skyeye_edge as sky
from measure import DEMO, frames_of, report, use_cores
from skyeye_edge.runtime import FileSource
from skyeye_edge.runtime.gate import Gate

Rgb = npt.NDArray[np.uint8]
WIDE, HIGH = 1280, 720
LONG, BROAD = 64, 36  # pixels of a vehicle: 5 % of the width
COLOURS = ((235, 235, 230), (170, 30, 35), (25, 25, 30))
APPEARANCES, STAYS = (0.2, 0.5, 0.8), 4.0  # shares of the clip, seconds
TASK = sky.Ground("the car")
STALE_BELOW = 0.5  # overlap of two boxes


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames, and the times between which something new is in them."""

    frames: Callable[[], Iterator[sky.Frame]]
    events: tuple[tuple[float, float], ...] = ()


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each clip; default: 30")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second; default: 10")
    parser.add_argument("--heartbeat", type=float, default=5.0, help="seconds; default: 5")
    parser.add_argument("--clip", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--judge-only", action="store_true", help="ask the model nothing")
    parser.add_argument("--quick", action="store_true", help="3 seconds, 4 frames a second")
    args = parser.parse_args()
    if args.quick:
        args.seconds, args.rate = 3.0, 4.0
    use_cores()
    try:
        clips = drawn_clips(args.seconds, args.rate)
        for each in args.clip:
            name, _, path = each.partition("=")
            clips[name] = file_clip(Path(path), args.rate)
        with sky.load(args.bundle) as model:
            asked = None if args.judge_only else model
            rows = {name: measure(clip, args.heartbeat, asked) for name, clip in clips.items()}
    except sky.SkyEyeError as error:
        print(f"gating: {error}", file=sys.stderr)
        return error.exit_code
    hover = rows["hover"]
    report("gating", {"ratio": hover["frames"] / hover["encodes"], **rows})
    return 0


def drawn_clips(seconds: float, rate: float) -> dict[str, Clip]:
    """Hover, pan and fast flight, with patches that come and go."""
    picture = Image.fromarray(frames_of(DEMO, 1)[0].rgb)
    ground = np.asarray(picture.resize((2 * WIDE, 2 * HIGH)))
    stays = min(STAYS, seconds / 6)
    events = tuple((share * seconds, share * seconds + stays) for share in APPEARANCES)
    speeds = {"hover": 0, "pan": 4, "fast": 40}  # pixels a frame

    def frames(speed: int) -> Iterator[sky.Frame]:
        random = np.random.default_rng(0)
        for number in range(int(seconds * rate)):
            moment = number / rate
            left, top = (WIDE // 2, HIGH // 2) if not speed else (speed * number, HIGH // 2)
            if not speed:
                left, top = (int(edge + random.integers(-2, 3)) for edge in (left, top))
            view = window(ground, left, top)
            for colour, (first, last) in zip(COLOURS, events, strict=True):
                if first <= moment < last:
                    park(view, colour)
            yield sky.Frame(as_seen(view, moment, random), time=moment, index=number)

    return {
        name: Clip(lambda speed=speed: frames(speed), events)  # type: ignore[misc]
        for name, speed in speeds.items()
    }


def park(view: npt.NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    """Put a vehicle with two dark windows into the middle of a view."""
    top, left = HIGH // 2, WIDE // 2
    view[top : top + BROAD, left : left + LONG] = colour
    for place in (14, 44):
        view[top + 5 : top + BROAD - 5, left + place : left + place + 6] = (40, 45, 55)


def window(ground: Rgb, left: int, top: int) -> npt.NDArray[np.float32]:
    """A view of the ground, which goes on in mirror image at its edges."""
    edge = ground.shape[1] - WIDE
    turn, place = divmod(left, edge)
    left = place if turn % 2 == 0 else edge - place
    return ground[top : top + HIGH, left : left + WIDE].astype(np.float32)


def as_seen(view: npt.NDArray[np.float32], moment: float, random: np.random.Generator) -> Rgb:
    """With a camera's noise, under light that drifts."""
    noise = random.normal(0, 3, view.shape).astype(np.float32)
    light = np.float32(1 + 0.08 * np.sin(moment / 3))
    seen: Rgb = np.clip(view * light + noise, 0, 255).astype(np.uint8)
    return seen


def file_clip(path: Path, rate: float) -> Clip:
    """A video, so many frames a second."""

    def frames() -> Iterator[sky.Frame]:
        source = FileSource(path)
        try:
            yield from (each for each in source.items(1 / rate) if isinstance(each, sky.Frame))
        finally:
            source.close()

    return Clip(frames)


def measure(clip: Clip, heartbeat: float, model: sky.Model | None) -> dict[str, Any]:
    """One clip through the gate, and through the model at every frame."""
    gate = Gate(heartbeat)
    opened, told, times, costs = list[float](), list[float](), list[float](), list[float]()
    answers: list[Any] = []
    carried: list[int] = []  # frame whose answer is shown at each frame
    for number, frame in enumerate(clip.frames()):
        started = time.perf_counter()
        decision = gate.judge(frame)
        costs.append(time.perf_counter() - started)
        times.append(frame.time)
        opened += [frame.time] if decision.open else []
        told += [frame.time] if decision.open or decision.heartbeat else []
        carried.append(number if decision.open else carried[-1])
        if model is not None:
            answers.append(model.run(frame, (TASK,))[0])
    found: dict[str, Any] = {
        "frames": len(times),
        "encodes": len(opened),
        "saved": 1 - len(opened) / len(times),
        "worst_age": max(now - times[was] for now, was in zip(times, carried, strict=True)),
        "heard_within": max(np.diff([*told, times[-1]])),
        "gate_ms": 1000 * statistics.median(costs),
    }
    if clip.events:
        delays = [first_within(opened, *event) for event in clip.events]
        found["missed"] = delays.count(None)
        found["late"] = max((each for each in delays if each is not None), default=0.0)
    if answers:
        pairs = list(enumerate(carried))
        found["stale"] = statistics.mean(differ(answers[a], answers[b]) for a, b in pairs)
        neighbours = list(pairwise(answers))
        found["flicker"] = statistics.mean(differ(*pair) for pair in neighbours)
    return found


def first_within(opened: Sequence[float], first: float, last: float) -> float | None:
    """Seconds until a frame was let through while something new was in sight."""
    return next((each - first for each in opened if first <= each < last), None)


def differ(one: Any, other: Any) -> bool:
    """Whether two groundings say different things."""
    if one.found != other.found:
        return True
    return bool(one.found) and overlap(one.boxes[0].xyxy, other.boxes[0].xyxy) < STALE_BELOW


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return both / (areas - both) if areas > both else 1.0


if __name__ == "__main__":
    sys.exit(main())
