"""`skyeye-edge merge`: a run's adapters into a plain checkpoint."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from skyeye_edge.cli.options import Commands, add_command

EXAMPLES = (
    "skyeye-edge merge runs/my-model -o my-checkpoint",
    "skyeye-edge merge runs/my-model -o my-checkpoint-2 --quiet",
)


def add_parser(commands: Commands) -> None:
    """Options of `merge`."""
    summary = (
        "Merge a run into a checkpoint, and prove each merged matrix equal to the adapted one."
    )
    parser = add_command(commands, "merge", summary, EXAMPLES)
    parser.add_argument("training_run", type=Path, metavar="RUN")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CHECKPOINT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge merge`."""
    from skyeye_edge.cli.progress import bytes_bar
    from skyeye_edge.training import merge

    with bytes_bar("merging", quiet=args.quiet) as tell:
        report = merge(args.training_run, args.output, tell)
    if not args.quiet:
        print(
            f"{report.matrices} matrices merged; largest difference of a product from the adapted "
            f"one, relative: {report.difference:.1e}",
            file=sys.stderr,
        )
    print(report.target)
    return 0
