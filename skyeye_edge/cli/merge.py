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
    summary = "Merge a run into a checkpoint, and check that its logits are the adapted model's."
    parser = add_command(commands, "merge", summary, EXAMPLES)
    parser.add_argument("training_run", type=Path, metavar="RUN")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CHECKPOINT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge merge`."""
    from skyeye_edge.training import merge

    report = merge(args.training_run, args.output)
    if not args.quiet:
        print(
            f"largest difference of a logit, relative: {report.merged:.1e} by merging, "
            f"{report.rounded:.1e} by rounding the weights to float16",
            file=sys.stderr,
        )
    print(report.target)
    return 0
