"""A caption, three groundings and a question about every new frame: ours against what others do.

    python benchmarks/frame_tasks.py --bundle out/bench/smollm2 --mmproj FILE
    python benchmarks/frame_tasks.py --quick        # the packaged model, ours against ours apart

Contestants, each a process of its own, take turns with blocks of the same new frames:

    ours      this runtime: all frames of a block are handed over, all tasks of a frame at once
    apart     this runtime, one task after the other, nothing shared between them
    libmtmd   llama-cpp-python's own multimodal handler, asked five times a frame
    server    llama-server with its prompt cache, five requests a frame
    generate  transformers' generate on a model of that shape, five times a frame

All of them have the same cores, read the same JPEG files, and write the same number of tokens: 24
of the caption and of the question's answer, of the groundings as many as the box automaton wrote.
libmtmd and server read the bundle's own GGUF, and the tower that make_random_bundle.py wrote for
them. Peers compute with a thread on every core, and in their fastest setting: every --mmproj, with
and without flash attention, float32 and bfloat16 are tried on the first frame. Ours chooses for
itself; --threads sets all of them.

What limits ours is arithmetic: one encoding, the prompts' words, and a pass over all weights for
each step of the answers that are written side by side. Peers encode and read the image five times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

import skyeye_edge as sky
from measure import (
    CORES,
    DEMO,
    REPO,
    Contestant,
    closing_all,
    frames_of,
    median_ratio,
    report,
    use_cores,
)
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Task, instruction

TASKS = [
    ["caption", ""],
    ["ground", "the red car"],
    ["ground", "a boat at the pier"],
    ["ground", "the white house"],
    ["ask", "How many cars are on the road?"],
]
LIMIT = 24  # tokens of every answer
HERE = Path(__file__).resolve().parent / "contestants"
Command = list[str | Path]
PEERS = ("apart", "libmtmd", "server", "generate")


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument(
        "--mmproj",
        type=Path,
        action="append",
        help="its tower for libmtmd; more than one may be given",
    )
    parser.add_argument("--shape", choices=("smollm2", "tinyllama"), default="smollm2")
    parser.add_argument("--peers", default=",".join(PEERS), help="of these; default: all")
    parser.add_argument("--bench-env", type=Path, default=REPO / ".venv-bench")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--blocks", type=int, default=5, help="turns of each; default: 5")
    parser.add_argument("--frames", type=int, default=4, help="of a block; default: 4")
    parser.add_argument("--threads", type=int, help="of every contestant")
    parser.add_argument("--quick", action="store_true", help="two blocks, without peers")
    args = parser.parse_args()
    if args.quick:
        args.blocks, args.frames, args.peers = 2, 2, "apart"
    use_cores()
    try:
        with tempfile.TemporaryDirectory() as folder:
            spec = sky.open_bundle(args.bundle).spec
            words, side = words_of(spec), spec.vision.image_size
            warm_up, *blocks = write_images(args, max(side, 224), Path(folder))
            with closing_all(contestants(args, warm_up, words)) as started:
                figures = compare(started, blocks, words, args.frames)
    except sky.SkyEyeError as error:
        print(f"frame_tasks: {error}", file=sys.stderr)
        return error.exit_code
    report("frame_tasks", {"bundle": args.bundle.name if args.bundle else "packaged", **figures})
    return 0


def write_images(args: argparse.Namespace, side: int, folder: Path) -> Iterator[list[str]]:
    """New frames as files: two for warming up, then the blocks."""
    sizes = [2, *[args.frames] * args.blocks]
    frames = iter(frames_of(args.video, sum(sizes), step=3))
    for block, size in enumerate(sizes):
        paths = []
        for number, frame in enumerate(islice(frames, size)):
            path = folder / f"{block}-{number}.jpg"
            Image.fromarray(frame.rgb).resize((side, side)).save(path, quality=92)
            paths.append(str(path))
        yield paths


def words_of(spec: ModelSpec) -> list[str]:
    """The tasks as our prompts ask them."""
    makers: dict[str, Callable[[str], Task]] = {
        "caption": lambda words: sky.Caption(),
        "ground": sky.Ground,
        "ask": sky.Ask,
    }
    side = (spec.vision.image_size, spec.vision.image_size)
    tasks = [makers[kind](words) for kind, words in TASKS]
    return [instruction(task, side, spec.boxes, spec.prompt.instructions) for task in tasks]


def contestants(
    args: argparse.Namespace, warm_up: list[str], words: list[str]
) -> Iterator[Contestant]:
    """Ours first: what it writes is how long the others' answers are."""
    ours: Command = [sys.executable, HERE / "ours.py"]
    ours += ["--bundle", args.bundle] if args.bundle else []
    ours += ["--threads", args.threads] if args.threads else []
    first = Contestant("ours", ours)
    yield first
    asked = {"tasks": TASKS[:1], "words": words[:1], "tokens": [[8]], "limit": 8}
    trials = [{"images": [image], **asked} for image in warm_up]
    for trial in trials:
        first.ask(**trial)
    wanted = args.peers.split(",")
    if odd := sorted(set(wanted) - set(PEERS)):
        raise sky.InputError(f"--peers {odd[0]}: choose from {', '.join(PEERS)}")
    for name in wanted:
        ways = [[*ours, "--apart"]] if name == "apart" else list(ways_of(name, args))
        yield fastest(name, ways, args.bench_env / "llama.cpp" / "bin", trials)


def ways_of(name: str, args: argparse.Namespace) -> Iterator[Command]:
    """The commands of a peer in every setting that may be its fastest."""
    threads: Command = ["--threads", str(args.threads or CORES)]
    if name == "generate":
        for kind in ("float32", "bfloat16"):
            yield [sys.executable, HERE / "generate.py", args.shape, *threads, "--dtype", kind]
        return
    python = args.bench_env / "bin" / "python"
    if not python.exists():
        raise sky.InputError(f"{args.bench_env}: no environment; run build_tools/bench_env.py")
    program: Command = [python, HERE / f"{name}.py"]
    if name == "server":
        program.append(args.bench_env / "llama.cpp" / "bin" / "llama-server")
    bundle = sky.open_bundle(args.bundle)
    gguf = bundle.language_file(bundle.manifest.language_variant())
    if not args.mmproj:
        raise sky.InputError(f"{name} needs --mmproj; make_random_bundle.py --mmproj writes one")
    for mmproj in args.mmproj:
        for flash in ([], ["--flash"]):
            yield [*program, gguf, mmproj, *threads, *flash]


def fastest(
    name: str, ways: list[Command], library: Path, trials: list[dict[str, Any]]
) -> Contestant:
    """The quickest of several ways to run a peer, as the warm-up shows."""
    best, quickest = None, float("inf")
    for way in ways:
        paths = {"LLAMA_CPP_LIB_PATH": str(library), "MTMD_CPP_LIB": str(library)}
        peer = Contestant(name, way, **({} if name == "apart" else paths))
        seconds = [peer.ask(**trial)["seconds"] for trial in trials][-1]  # of a new image
        print(f"{name}: {seconds:.2f} s, {peer.facts['ready']}", file=sys.stderr)
        slower = peer if seconds > quickest else best
        if slower is not peer:
            best, quickest = peer, seconds
        if slower is not None:
            slower.close()
    assert best is not None
    return best


def compare(
    started: list[Contestant], blocks: list[list[str]], words: list[str], frames: int
) -> dict[str, Any]:
    """Seconds of every block by contestant, in turns."""
    seconds: dict[str, list[float]] = {each.name: [] for each in started}
    steps: dict[str, dict[str, float]] = {each.name: {} for each in started}
    wrote: dict[str, int] = dict.fromkeys(seconds, 0)
    for number, images in enumerate(blocks, start=1):
        lengths: list[list[int]] = []
        for each in started:
            asked = {"images": images, "limit": LIMIT, "tasks": TASKS}
            said = each.ask(**asked, words=words, tokens=lengths)
            lengths = lengths or said["tokens"]
            seconds[each.name].append(said["seconds"])
            wrote[each.name] += sum(map(sum, said["tokens"]))
            for step, ms in said["steps_ms"].items():
                steps[each.name][step] = steps[each.name].get(step, 0.0) + ms
            print(f"{number:3} {each.name:10}{said['seconds'] / frames:8.3f} s", file=sys.stderr)
    count = len(blocks) * frames
    ratios = {name: median_ratio(each, seconds["ours"]) for name, each in seconds.items()}
    del ratios["ours"]
    return {
        "ratio": ratios.get("libmtmd", min(ratios.values())),
        "ratios": ratios,
        "seconds_per_frame": {name: sum(each) / count for name, each in seconds.items()},
        "steps_ms_per_frame": {
            name: {step: ms / count for step, ms in each.items()} for name, each in steps.items()
        },
        "tokens_per_frame": {name: tokens / count for name, tokens in wrote.items()},
        "contestants": {each.name: str(each.facts["ready"]) for each in started},
        "frames": count,
    }


if __name__ == "__main__":
    sys.exit(main())
