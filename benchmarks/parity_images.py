"""How often a bundle answers as its checkpoint does, over a folder of images.

    python benchmarks/parity_images.py CHECKPOINT BUNDLE FOLDER [--count 50] [--pair fp32 F32]

Both sides answer every task about every image. The pair fp32 F32 runs strictly: there every token
must be equal, but for ties, where the checkpoint's two best choices are closer than rounding. For
other pairs the share of equal answers says what quantisation changed. Exit code 1 if a strict pair
differs anywhere but in ties.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from measure import read_images
from skyeye_edge.core.bundle import open_bundle
from skyeye_edge.export.parity import ParityRow, measure_parity
from skyeye_edge.runtime import versions
from skyeye_edge.training.predictor import CheckpointPredictor


def show(row: ParityRow) -> str:
    """One line of the table."""
    share = row.equal / row.answers
    return (
        f"{row.vision:6} {row.language:8} {row.answers:8} {row.equal:7} {share:7.1%} "
        f"{len(row.ties):5} {row.different:9} {row.equal_tokens / row.tokens:8.1%} "
        f"{row.visual_tokens:14.1e} {row.logits:8.1e}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and the figures as one JSON object in the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=50, help="images to ask about")
    parser.add_argument(
        "--pair", nargs=2, action="append", metavar=("VISION", "LANGUAGE"), help="default: all"
    )
    args = parser.parse_args(arguments)
    manifest = open_bundle(args.bundle).manifest
    pairs = args.pair or [
        (vision, language)
        for vision in manifest.vision_variants
        for language in manifest.language_variants
    ]
    frames = read_images(args.folder, args.count)
    predictor = CheckpointPredictor(args.checkpoint)
    rows = measure_parity(
        predictor, args.bundle, frames, pairs, tell=lambda s: print(s, file=sys.stderr)
    )
    print(
        "vision language  answers   equal   share  ties different   tokens  visual tokens   logits"
    )
    for row in rows:
        print(show(row))
        for tie in row.ties:
            image = frames[tie.image].source
            print(
                f"  tie: {image}, task {tie.task}, token {tie.position}: "
                f"gap {tie.gap:.1e}, difference {tie.difference:.1e}"
            )
    figures = {"images": len(frames), "rows": [row.to_json() for row in rows]}
    machine = {"machine": platform.machine(), "versions": versions()}
    print(json.dumps({"benchmark": "parity_images", **machine, **figures}))
    return int(any(row.strict and row.different for row in rows))


if __name__ == "__main__":
    sys.exit(main())
