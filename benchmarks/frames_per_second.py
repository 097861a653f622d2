"""A caption and one grounding about every frame of a video, on two cores, and flat memory.

    python benchmarks/frames_per_second.py VIDEO [--frames 5000] [--against REVISION]

The video is looped until enough frames were answered. A frame costs one shrinking (Pillow, grows
with the pixels of the video), one encoding, two prompts and some thirty tokens. Decoding the video
and encoding go on beside the answers, so the rate is bound by the slower of the two cores. It may
exceed 1000 / (preprocess + encode + prefill + generate), the row `fps_in_turn`, which is what one
step after the other would make of the same milliseconds. `ratio` is the rate divided by that.

With `--against`, the package of an older revision of this checkout answers the same video with the
same bundle and the same libraries (or the libllama of `--against-library`), in turns of a hundred
frames; then `ratio` is the median of (our rate / its rate).

The last table interleaves two ways to ask the same two questions: with the shared beginning of
their prompts computed once (what the runtime does), and with everything computed again for each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import skyeye_edge as sky
from measure import (
    CORES,
    REPO,
    Contestant,
    closing_all,
    frames_of,
    median_ratio,
    report,
    resident_mib,
    use_cores,
)
from skyeye_edge.core.automaton import task_automaton
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.tasks import max_tokens
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request
from skyeye_edge.runtime.libllama import ContextOptions

TASKS: tuple[sky.Task, ...] = (sky.Caption(), sky.Ground("the car"))
WARM_UP, EARLY = 50, 500  # frames; memory is compared from EARLY on
BLOCK = 250  # frames of one measurement of the rate
TURN = 100  # frames of one turn against another revision
CONTESTANT = Path(__file__).resolve().parent / "contestants" / "stream.py"
STEPS = ("preprocess", "encode", "prefill", "generate")


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=5000, help="default: 5000")
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--against", metavar="REVISION", help="of git: compare with its package")
    parser.add_argument(
        "--against-library", type=Path, help="folder of the libllama that it has; default: ours"
    )
    parser.add_argument("--turns", type=int, default=10, help="of each revision; default: 10")
    parser.add_argument("--turn", type=int, default=TURN, help="frames of a turn; default: 100")
    args = parser.parse_args()
    use_cores(CORES)
    try:
        if not args.video.is_file():
            raise sky.InputError(f"{args.video}: there is no such file")
        compared = measure_against(args) if args.against else {}
        # the clip comes round again: its images must not be remembered till then
        with sky.load(args.bundle, remember_mib=32) as model:
            model.warm_up()
            stream = measure_stream(model, args.video, args.frames)
        prefix = measure_prefix(args.bundle, args.video, min(40, args.frames))
    except sky.SkyEyeError as error:
        print(f"frames_per_second: {error}", file=sys.stderr)
        return error.exit_code
    figures = {"video": args.video.name, **stream, **prefix, **compared}
    report("frames_per_second", figures)
    return 0


def measure_against(args: argparse.Namespace) -> dict[str, object]:
    """The rates of this and of another revision, in turns, the first turn not counted."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(args.against, Path(folder))
        command = [sys.executable, CONTESTANT, args.video.absolute()]
        # the same weights for both: those of this checkout, unless others are named
        command += [args.bundle or sky.open_bundle().root]
        roots = {"ours": {"PYTHONPATH": str(REPO)}, args.against: {"PYTHONPATH": folder}}
        if args.against_library:
            roots[args.against]["LLAMA_CPP_LIB_PATH"] = str(args.against_library.absolute())
        started = (Contestant(name, command, **root) for name, root in roots.items())
        rates: dict[str, list[float]] = {name: [] for name in roots}
        with closing_all(started) as contestants:
            for turn in range(args.turns + 1):
                for each in contestants:
                    rate = args.turn / each.ask(frames=args.turn)["seconds"]
                    print(f"turn {turn} {each.name:10}{rate:8.1f} frames/s", file=sys.stderr)
                    rates[each.name] += [rate] if turn else []
    return {
        "ratio": median_ratio(rates["ours"], rates[args.against]),
        "fps_against": {name: statistics.median(each) for name, each in rates.items()},
    }


def unpack(revision: str, folder: Path) -> None:
    """The package as it was at a revision."""
    archive = subprocess.run(
        ["git", "-C", REPO, "archive", revision, "skyeye_edge"], capture_output=True, check=False
    )
    if archive.returncode:
        raise sky.InputError(f"--against {revision}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)


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
        "fps_in_turn": round(frames * 1000 / sum(spent.values()), 2),
        "ratio": sum(spent.values()) / 1000 / seconds,
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


def measure_prefix(bundle: Path | None, video: Path, frames: int) -> dict[str, object]:
    """Milliseconds for both questions about a frame: beginning shared, and computed again."""
    opened = sky.open_bundle(bundle)
    variant = opened.manifest.language_variant()
    options = ContextOptions(length=opened.spec.context)
    language = LanguageModel(opened.language_file(variant), options)
    times: dict[str, list[float]] = {"shared": [], "again": []}
    prefills: dict[str, list[float]] = {"shared": [], "again": []}
    with sky.load(bundle) as model:
        for number, frame in enumerate(frames_of(video, frames, least=1)):
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


if __name__ == "__main__":
    sys.exit(main())
