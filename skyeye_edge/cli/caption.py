"""`skyeye-edge caption`: what images and videos show."""

from __future__ import annotations

import argparse

from skyeye_edge.cli.answering import add_answering, answer_inputs
from skyeye_edge.cli.options import Commands, asked_tasks

EXAMPLES = (
    "skyeye-edge caption photo.jpg",
    'skyeye-edge caption flight.mp4 --phrase "a boat" --every 2 -o out --annotate',
)


def add_parser(commands: Commands) -> None:
    """Options of `caption`."""
    summary = "Caption images and videos, and answer --phrase and --question along the way."
    add_answering(commands, "caption", summary, EXAMPLES).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge caption`."""
    from skyeye_edge.core.tasks import Caption

    return answer_inputs(args, [Caption(), *asked_tasks(args)])
