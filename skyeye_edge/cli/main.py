"""Parser and dispatch; what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skyeye_edge import __version__
from skyeye_edge.cli import (
    ask,
    bundle,
    caption,
    completion,
    control,
    data,
    demo,
    doctor,
    evaluate,
    export,
    ground,
    import_,
    merge,
    replay,
    train,
    watch,
)
from skyeye_edge.cli.options import HelpFormatter
from skyeye_edge.cli.veil import veiled_stderr
from skyeye_edge.core.errors import SkyEyeError

COMMANDS = (
    demo,
    caption,
    ground,
    ask,
    watch,
    replay,
    control,
    data,
    train,
    merge,
    import_,
    export,
    evaluate,
    bundle,
    doctor,
    completion,
)
EPILOG = """\
exit codes: 0 done, 1 the work failed, 2 the request is wrong, 130 interrupted

examples:
  skyeye-edge demo
  skyeye-edge caption flight.mp4 --phrase "a boat" -o out --annotate
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; building it imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="skyeye-edge",
        description="Captions, boxes and answers from drone video, on this machine.",
        epilog=EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"skyeye-edge {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    for module in COMMANDS:
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `skyeye-edge` script; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    with veiled_stderr(words):
        return run(words)


def run(argv: Sequence[str]) -> int:
    """Parse and dispatch; returns the exit code."""
    args = build_parser().parse_args(argv)
    level = logging.DEBUG if args.debug else logging.ERROR if args.quiet else logging.WARNING
    try:
        with log_to_stderr(level):
            code: int = args.run(args)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt
        print("skyeye-edge: interrupted; what was written so far is valid", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return report(error, debug=args.debug)
    return code


@contextmanager
def log_to_stderr(level: int) -> Iterator[None]:
    """Inside the block, what our own modules log from `level` up is shown."""
    ours, handler = logging.getLogger("skyeye_edge"), logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    before = ours.level
    ours.setLevel(level)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)


def report(error: Exception, *, debug: bool) -> int:
    """Say one line about what went wrong; returns the exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, SkyEyeError):
        print(f"skyeye-edge: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        print(f"skyeye-edge: {where}{error.strerror}", file=sys.stderr)
        return 1
    print(
        f"skyeye-edge: unexpected {type(error).__name__}: {error}\n"
        "This is a mistake in skyeye-edge; --debug shows where. Please report it.",
        file=sys.stderr,
    )
    return 1
