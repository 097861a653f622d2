"""`skyeye-edge ground`: where something is in images and videos."""

from __future__ import annotations

import argparse

from skyeye_edge.cli.answering import add_answering, answer_inputs
from skyeye_edge.cli.options import Commands, asked_tasks
from skyeye_edge.core.errors import InputError

EXAMPLES = (
    'skyeye-edge ground photo.jpg --phrase "the red car" --annotate -o out',
    'skyeye-edge ground flight.mp4 --phrase "a boat" --phrase "a road" --json -o out',
)


def add_parser(commands: Commands) -> None:
    """Options of `ground`."""
    summary = "Find phrases in images and videos."
    add_answering(commands, "ground", summary, EXAMPLES).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge ground`."""
    if not args.phrase:
        raise InputError('ground: say what to find, for example --phrase "the red car"')
    return answer_inputs(args, asked_tasks(args))
