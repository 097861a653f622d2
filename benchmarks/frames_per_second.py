"""A caption and one grounding about every frame of a video, on two cores, and flat memory.

    python benchmarks/frames_per_second.py VIDEO [--frames 5000] [--bundle PATH]

What limits the figure: the steps of one frame follow each other, because every token waits for the
one before it. A frame costs one shrinking (Pillow, grows with the pixels of the video), one
encoding, two prompts and some thirty tokens; only the decoding of the video runs beside them, on
the second core. So frames per second are at most 1000 / (preprocess + encode + prefill + generate)
in milliseconds, the row `bound` of the table; what is missing to it is waiting and Python.

The video is looped until enough frames were answered. The second table interleaves two ways to ask
the same two questions: with the shared beginning of their prompts computed once (what the runtime
does), and with everything computed again for each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import skyeye_edge as sky
from skyeye_edge.core.automaton import task_automaton
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.tasks import max_tokens
from skyeye_edge.runtime import FileSource, versions
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request
from skyeye_edge.runtime.libllama import ContextOptions

TASKS: tuple[sky.Task, ...] = (sky.Caption(), sky.Ground("the car"))
CORES = 2
WARM_UP, EARLY = 50, 500  # frames; memory is compared from EARLY on
BLOCK = 250  # frames of one measurement of the rate
STEPS = ("preprocess", "encode", "prefill", "generate")


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(description="frames per second and memory over a video")
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=5000, help="default: 5000")
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    args = parser.parse_args()
    use_cores(CORES)
    try:
        with sky.load(args.bundle) as model:
            model.warm_up()
            stream = measure_stream(model, args.video, args.frames)
        prefix = measure_prefix(args.bundle, args.video)
    except sky.SkyEyeError as error:
        print(f"frames_per_second: {error}", file=sys.stderr)
        return error.exit_code
    machine = {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))}
    print_tables(stream, prefix)
    figures = {**stream, **prefix, "machine": machine, "versions": versions()}
    print(json.dumps({"benchmark": "frames_per_second", "video": args.video.name, **figures}))
    return 0


def use_cores(wanted: int) -> None:
    """Leave this process the first cores only, so that figures of larger machines compare."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:wanted])


def measure_stream(model: sky.Model, video: Path, frames: int) -> dict[str, object]:
    """Rate, memory and time per step over so many answered frames."""
    memory: dict[int, float] = {}
    blocks: list[float] = []
    spent = dict.fromkeys(STEPS, 0.0)
    began = block_began = ended = time.perf_counter()
    size = (0, 0)
    for number, event in enumerate(looped(model, video, frames + WARM_UP), start=1 - WARM_UP):
        if number < 1:
            began = block_began = time.perf_counter()
            continue
        size = event.size
        for step in STEPS:
            spent[step] += event.timing_ms[step]
        ended = time.perf_counter()
        if number in (EARLY, frames):
            memory[number] = resident_mib()
        if number % BLOCK == 0:
            now = time.perf_counter()
            blocks.append(BLOCK / (now - block_began))
            block_began = now
            print(f"{number:6} frames, {blocks[-1]:6.1f} frames/s", file=sys.stderr)
    seconds = ended - began
    early = memory.get(EARLY, memory[frames])
    return {
        "size": list(size),
        "frames": frames,
        "fps": round(frames / seconds, 2),
        "fps_median": round(statistics.median(blocks), 2) if blocks else None,
        "fps_worst": round(min(blocks), 2) if blocks else None,
        "step_ms": {step: round(value / frames, 2) for step, value in spent.items()},
        "fps_bound": round(frames * 1000 / sum(spent.values()), 2),
        "rss_mib_500": round(early, 1),
        f"rss_mib_{frames}": round(memory[frames], 1),
        "rss_growth_mib": round(memory[frames] - early, 1),
        "model": model.description,
    }


def looped(model: sky.Model, video: Path, frames: int) -> Iterator[AnswerEvent]:
    """So many answers, from as many passes over the video as it takes."""
    answered = 0
    while answered < frames:
        before = answered
        with model.stream(video, TASKS, every=0) as events:
            for event in events:
                if isinstance(event, AnswerEvent):
                    answered += 1
                    yield event
                if answered == frames:  # answers that nobody counts would take time all the same
                    return
        if answered == before:
            raise sky.MediaError(f"{video}: holds no frame")


def measure_prefix(bundle: Path | None, video: Path, frames: int = 40) -> dict[str, object]:
    """Milliseconds for both questions about a frame: beginning shared, and computed again."""
    opened = sky.open_bundle(bundle)
    variant = opened.manifest.language_variant()
    options = ContextOptions(length=opened.spec.context)
    language = LanguageModel(opened.language_file(variant), options)
    times: dict[str, list[float]] = {"shared": [], "again": []}
    prefills: dict[str, list[float]] = {"shared": [], "again": []}
    with sky.load(bundle) as model:
        source = FileSource(video)
        pictures = [item for item in source.items(every=0) if isinstance(item, sky.Frame)][:frames]
        source.close()
        for number, frame in enumerate(pictures):
            tokens = model.encode(frame)
            for way, ms in times.items():
                # an image of another key is another image: nothing of it is known
                names = (b"", b"") if way == "shared" else (b"0", b"1")
                images = [EncodedImage(tokens, b"%s%d" % (way.encode() + n, number)) for n in names]
                started = time.perf_counter()
                replies = [
                    language.generate([request(task, frame, image, language, opened)])[0]
                    for task, image in zip(TASKS, images, strict=True)
                ]
                ms.append((time.perf_counter() - started) * 1000)
                prefills[way].append(sum(reply.prefill for reply in replies) * 1000)
    language.close()
    shared, again = (statistics.median(times[way]) for way in ("shared", "again"))
    prefill, prefill_again = (statistics.median(prefills[way]) for way in ("shared", "again"))
    return {
        "both_answers_ms": round(shared, 2),
        "both_answers_again_ms": round(again, 2),
        "prefill_ms": round(prefill, 2),
        "prefill_again_ms": round(prefill_again, 2),
        "prefix_ratio": round(again / shared, 2),
        "prefill_ratio": round(prefill_again / prefill, 2),
    }


def request(
    task: sky.Task,
    frame: sky.Frame,
    image: EncodedImage,
    language: LanguageModel,
    bundle: sky.Bundle,
) -> Request:
    """The request that the engine makes of a task."""
    return Request(
        segments=build_prompt([(task, None)], [frame.size], bundle.spec),
        images=(image,),
        automaton=task_automaton(task, language.vocabulary, bundle.spec),
        max_tokens=max_tokens(task),
    )


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_model() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def print_tables(stream: dict[str, object], prefix: dict[str, object]) -> None:
    """Both measurements for people."""
    for title, rows in (("caption + ground on every frame", stream), ("shared beginning", prefix)):
        print(title)
        for name, value in rows.items():
            print(f"  {name:22} {value}")


if __name__ == "__main__":
    sys.exit(main())
