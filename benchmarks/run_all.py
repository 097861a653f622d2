"""Every benchmark, one after the other, on a machine that does nothing else.

    python benchmarks/run_all.py [-o out/bench] [--only drafts,streams] [--large] [--quick]

Each last line goes to `results.jsonl` of the folder, what else was said to `NAME.log`. Bundles that
are missing are made there first. `--large` adds the shape of ViT-L and TinyLlama-1.1B; `--quick`
runs small counts without peers, to see that everything works. Then

    python benchmarks/tables.py out/bench

writes the tables and plots of docs/performance.md. Peers need build_tools/bench_env.py before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measure import DEMO, REPO

BEFORE = "a65e365"  # the last revision whose engine answered one job after the other
HERE = Path(__file__).resolve().parent
Command = list[str | Path]
Named = tuple[str, Command]


def main() -> int:
    """Run what is asked for; the exit code is 1 where something failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=REPO / "out" / "bench")
    parser.add_argument("--only", default="", help="names, or beginnings of names")
    parser.add_argument("--bench-env", type=Path, default=REPO / ".venv-bench")
    parser.add_argument("--before-library", type=Path, help="libllama of the older revision")
    parser.add_argument(
        "--large", action="store_true", help="TinyLlama's shape too: 20 minutes more"
    )
    parser.add_argument("--quick", action="store_true", help="small counts, no peers")
    args = parser.parse_args()
    args.out = args.out.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    # what the runtime measures when it is opened first, it measures now, and not beside others
    shutil.rmtree(args.out / "cache", ignore_errors=True)
    begun, failed = time.monotonic(), []
    for name, command in programs(args):
        if args.only and not name.startswith(tuple(args.only.split(","))):
            continue
        print(f"== {name}: {' '.join(map(str, command))}", flush=True)
        if not run(name, command, args.out):
            failed.append(name)
        print(f"   {(time.monotonic() - begun) / 60:.1f} minutes since the beginning", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else f"results: {args.out / 'results.jsonl'}")
    return 1 if failed else 0


def programs(args: argparse.Namespace) -> Iterator[Named]:
    """Names and commands, in the order of their worth."""
    quick: Command = ["--quick"] if args.quick else []
    yield from frame_rates(args)
    yield "overhead", ["overhead", *quick]
    yield "drafts", ["drafts", *quick]
    for clip in real_clips():
        yield f"drafts_{clip.stem}", ["drafts", "--video", clip, *quick]
    yield "gating", ["gating", *quick]
    yield "streams", ["streams", *quick]
    yield "reliability", ["reliability", "-o", args.out / "reliability", *quick]
    if not args.quick:
        slow = ["--minutes", "5", "--rate", "1", "--every", "1"]
        yield "reliability_1x", ["reliability", "-o", args.out / "reliability_1x", *slow]
    yield "roofline", ["roofline", *quick]
    yield "frame_tasks", ["frame_tasks", "--peers", "apart", *quick]
    if not args.quick:
        yield from shape(args, "smollm2", blocks=4, frames=3)
    if args.large:
        yield from shape(args, "tinyllama", blocks=2, frames=1)


def frame_rates(args: argparse.Namespace) -> Iterator[Named]:
    """Of this revision, and of it against the one before."""
    small = ["--frames", "20", "--turns", "1", "--turn", "10"] if args.quick else []
    program: Command = ["frames_per_second", DEMO, "--against", BEFORE]
    yield "frames_per_second", [*program, *(small or ["--frames", "5000"])]
    if args.before_library:
        then: Command = ["--against-library", args.before_library, "--frames", "100"]
        yield "frames_per_second_library", [*program, *(small or ["--frames", "5000"]), *then]


def real_clips() -> list[Path]:
    """Clips that do not belong to the project, where they are."""
    folder = Path(os.environ.get("SKYEYE_SHARED") or REPO.parent / "shared") / "data" / "clips"
    return [each for each in (folder / "car_follow.mp4",) if each.is_file()]


def shape(args: argparse.Namespace, name: str, blocks: int, frames: int) -> Iterator[Named]:
    """A random bundle of a real shape: made where it is missing, then measured."""
    bundle, towers = args.out / name, [args.out / f"{name}.{kind}.gguf" for kind in ("F16", "Q8_0")]
    for tower in towers:
        if not tower.exists():
            make: Command = ["make_random_bundle", name, bundle, "--mmproj", tower]
            make += ["--gguf", args.bench_env / "decoder"] if name == "smollm2" else []
            yield f"make_{tower.stem}", [*make, "--mmproj-type", tower.stem.split(".")[-1]]
    given: Command = ["--bundle", bundle]
    peers: Command = ["--shape", name, "--bench-env", args.bench_env]
    peers += [word for tower in towers for word in ("--mmproj", tower)]
    counts = ["--blocks", str(blocks), "--frames", str(frames)]
    yield f"frame_tasks_{name}", ["frame_tasks", *given, *peers, *counts]
    few: Command = ["--frames", str(blocks * frames), "--block", str(max(2, frames))]
    yield f"overhead_{name}", ["overhead", *given, *few]
    for threads in ("1", "2"):
        yield f"overhead_{name}_{threads}", ["overhead", *given, *few, "--threads", threads]
    yield f"roofline_{name}", ["roofline", *given, "--repeats", "60"]


def run(name: str, command: Command, out: Path) -> bool:
    """One program; its last line is appended to the results. False where it failed."""
    words = [sys.executable, str(HERE / f"{command[0]}.py"), *map(str, command[1:])]
    with (out / f"{name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=log, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(REPO), "XDG_CACHE_HOME": str(out / "cache")},
        )  # fmt: skip
        log.write(done.stdout)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        print(f"   exit {done.returncode}; see {out / f'{name}.log'}")
        return False
    print("\n".join(f"   {line}" for line in lines[:-1]))
    figures = json.loads(lines[-1])
    if "ratio" in figures:  # a bundle that was made is no result
        with (out / "results.jsonl").open("a", encoding="utf-8") as results:
            results.write(json.dumps({"name": name, **figures}) + "\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
