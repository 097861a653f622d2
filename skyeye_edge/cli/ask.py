"""`skyeye-edge ask`: free questions about images and videos."""

from __future__ import annotations

import argparse

from skyeye_edge.cli.answering import add_answering, answer_inputs
from skyeye_edge.cli.options import Commands, asked_tasks
from skyeye_edge.core.errors import InputError

EXAMPLES = (
    'skyeye-edge ask photo.jpg --question "How many cars are there?"',
    'skyeye-edge ask flight.mp4 --question "Is there water?" --every 5 -o out',
)


def add_parser(commands: Commands) -> None:
    """Options of `ask`."""
    summary = "Ask questions about images and videos."
    add_answering(commands, "ask", summary, EXAMPLES).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge ask`."""
    if not args.question:
        raise InputError('ask: say what to ask, for example --question "Is there smoke?"')
    return answer_inputs(args, asked_tasks(args))
