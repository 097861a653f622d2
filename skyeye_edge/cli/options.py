"""Options that mean the same in every command, and how the help pages look."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.runtime.alerts import Alert
    from skyeye_edge.runtime.model import Model

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written, and options in the same form on every Python."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=96)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def add_command(
    commands: Commands, name: str, summary: str, examples: tuple[str, str]
) -> argparse.ArgumentParser:
    """A subcommand whose help ends in two commands that the tests run."""
    parser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].rstrip("."),
        description=summary,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no notes")
    parser.add_argument("--debug", action="store_true", help="log more, and show tracebacks")
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model, and how it runs."""
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="default: the packaged model")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: a GPU that works, else the CPU; cuda insists on the GPU",
    )
    parser.add_argument(
        "--threads", type=count, metavar="N", help="that compute; default: as was measured here"
    )
    parser.add_argument(
        "--min-score",
        type=share,
        metavar="S",
        help="leave out boxes with a lower score, 0 to 1; default: what the bundle says",
    )
    parser.add_argument(
        "--remember-mib",
        type=count,
        metavar="N",
        default=256,
        help="memory for what may be asked about again, and for answers that are written together",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=("overlap", "batch", "drafts", "skip"),
        help="switch off a fast path, to compare: vision beside language, answers written "
        "together, guesses from earlier answers, leaving out pictures that nobody needs; none of "
        "them changes an answer; may be repeated",
    )
    parser.add_argument(
        "--unchecked",
        action="append",
        default=[],
        choices=("memory", "crash"),
        help="load although memory looks too small; open a bundle that is new here without trying "
        "it in a process of its own first",
    )


def open_model(args: argparse.Namespace) -> Model:
    """The model of the options that `add_model` adds."""
    from skyeye_edge.runtime import load

    return load(
        args.bundle,
        device=args.device,
        threads=args.threads,
        min_score=args.min_score,
        remember_mib=args.remember_mib,
        without=args.without,
        unchecked=args.unchecked,
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """--overwrite."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="also replace files that skyeye-edge did not write",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="one JSON object per line on stdout")


def add_questions(parser: argparse.ArgumentParser) -> None:
    """--phrase and --question, both repeatable."""
    parser.add_argument(
        "--phrase", action="append", default=[], metavar="TEXT", help="find this; may be repeated"
    )
    parser.add_argument(
        "--question", action="append", default=[], metavar="TEXT", help="ask this; may be repeated"
    )


def add_alert(parser: argparse.ArgumentParser) -> None:
    """--alert, repeatable."""
    parser.add_argument(
        "--alert",
        action="append",
        default=[],
        metavar="TEXT",
        help='say when this begins and ends: a thing, asked for as "is there TEXT?", or a '
        "question; behind it, parted by ';', may stand '3 of 5' (answers that must agree; default "
        "2 of 3), cooldown=S (seconds of quiet after an end; default 30), by=ground (score of a "
        "box, instead of how probable yes is), begin_at=P, end_at=P, name=NAME; may be repeated",
    )


def asked_alerts(args: argparse.Namespace) -> list[Alert]:
    """The alerts of --alert; raises InputError for what is none."""
    from skyeye_edge.runtime.alerts import as_alerts, parse_alert

    return list(as_alerts([parse_alert(text) for text in args.alert]))


def add_every(parser: argparse.ArgumentParser) -> None:
    """--every, in seconds."""
    parser.add_argument(
        "--every",
        type=seconds,
        default=1.0,
        metavar="S",
        help="seconds between asked frames of a video, 0 for every frame; default 1.0",
    )


def add_damaged(parser: argparse.ArgumentParser) -> None:
    """--keep-damaged."""
    parser.add_argument(
        "--keep-damaged",
        action="store_true",
        help="also ask about pictures of a video of which data are missing or wrong",
    )


def seconds(text: str) -> float:
    """A duration from the command line, at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 up")
    return value


def count(text: str) -> int:
    """A number from the command line, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def share(text: str) -> float:
    """A number between 0 and 1 from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def asked_tasks(args: argparse.Namespace) -> list[Task]:
    """The tasks of --phrase and --question, in that order."""
    from skyeye_edge.core.tasks import Ask, Ground

    return [*(Ground(text) for text in args.phrase), *(Ask(text) for text in args.question)]
