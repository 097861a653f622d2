"""`skyeye-edge completion`: a script by which a shell completes commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.cli.options import Commands, add_command

EXAMPLES = ("skyeye-edge completion bash", "skyeye-edge completion zsh")
EPILOG = """\
to have it in every new bash, put this into ~/.bashrc:
  eval "$(skyeye-edge completion bash)"
for zsh, write it as _skyeye-edge into a folder of $fpath.

"""


def add_parser(commands: Commands) -> None:
    """Options of `completion`."""
    summary = "Print a script that completes commands, options and files."
    parser = add_command(commands, "completion", summary, EXAMPLES)
    parser.epilog = EPILOG + str(parser.epilog)
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge completion`."""
    import shtab

    from skyeye_edge.cli.main import build_parser

    parser = build_parser()
    for action in all_actions(parser):
        if action.type is Path:  # shtab reads this attribute
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=args.shell))
    return 0


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options and arguments of a parser and of all its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from all_actions(command)
