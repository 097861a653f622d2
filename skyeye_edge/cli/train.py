"""`skyeye-edge train`: a recipe from pictures to a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from skyeye_edge.cli.options import Commands, add_command

EXAMPLES = ("skyeye-edge train my_recipe.yaml", "skyeye-edge train my_recipe.yaml --resume")


def add_parser(commands: Commands) -> None:
    """Options of `train`."""
    summary = "Train as a recipe says (docs/train.md)."
    parser = add_command(commands, "train", summary, EXAMPLES)
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint of this run"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge train`."""
    from skyeye_edge.training import train

    folder = train(args.recipe, resume=args.resume)
    print(folder)
    return 0
