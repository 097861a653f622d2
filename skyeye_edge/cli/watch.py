"""`skyeye-edge watch`: answers about a live stream, as they come."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.lines import event_line
from skyeye_edge.cli.options import (
    Commands,
    add_command,
    add_damaged,
    add_every,
    add_json,
    add_model,
    add_questions,
    asked_tasks,
    open_model,
    seconds,
)

if TYPE_CHECKING:
    from skyeye_edge.runtime.sinks.jsonl import PatientSink

EXAMPLES = (
    'skyeye-edge watch udp://127.0.0.1:5600 --phrase "a boat"',
    "skyeye-edge watch udp://127.0.0.1:5600 --every 0 --json -o out",
)


def add_parser(commands: Commands) -> None:
    """Options of `watch`."""
    summary = "Watch a live stream (udp:// as MPEG-TS, rtsp://) until Ctrl-C."
    parser = add_command(commands, "watch", summary, EXAMPLES)
    parser.add_argument("url", metavar="URL", help="address; a file is watched as well")
    add_questions(parser)
    add_model(parser)
    add_every(parser)
    add_damaged(parser)
    parser.add_argument(
        "--gate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="leave out frames that show what the last asked one showed; default: of live streams",
    )
    parser.add_argument(
        "--heartbeat",
        type=seconds,
        default=5.0,
        metavar="S",
        help="seconds within which something is said although nothing changes; default 5",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write events there too, as JSON Lines"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge watch`; 130 after Ctrl-C, 0 after SIGTERM, SIGHUP or the end of the source."""
    from skyeye_edge.core.tasks import Caption
    from skyeye_edge.runtime.ending import ending_on_signals
    from skyeye_edge.runtime.sources import open_source

    tasks = [Caption(), *asked_tasks(args)]
    with (
        ending_on_signals() as ending,
        closing(open_source(args.url, keep_damaged=args.keep_damaged)) as source,
        open_model(args) as model,
        model.stream(
            source, tasks=tasks, every=args.every, gate=args.gate, heartbeat=args.heartbeat
        ) as events,
        recording(args) as lines,
    ):
        ending.stops(events)
        voice = Voice(events.stop)
        for event in events:
            if lines is not None:
                lines.write(event)
            voice.say(event.to_json() if args.json else event_line(event))
    if ending.heard is not None:
        return leave(ending.heard)
    if voice.broken is not None:
        raise voice.broken
    return 1 if lines is not None and lines.lost else 0


def leave(number: int) -> int:
    """The exit code after a signal; from here on there is nothing that another could interrupt."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    return 0


class Voice:
    """Standard output, of which the recording must not depend.

    Args:
        stop: called when nobody can hear it any more.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.broken: OSError | None = None  # why
        self._stop = stop

    def say(self, line: str) -> None:
        """Print a line."""
        try:
            print(line, flush=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # it stays buffered, and goes out when there is room
                return
            self.broken = error  # a terminal that was closed, a pipe whose reader has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._stop()


@contextmanager
def recording(args: argparse.Namespace) -> Iterator[PatientSink | None]:
    """The file of the events, if one is wanted; its name is new every time, so nothing is lost."""
    if args.output is None:
        yield None
        return
    from skyeye_edge.runtime.sinks.jsonl import PatientSink
    from skyeye_edge.runtime.sinks.output import make_folder, new_file

    make_folder(args.output)
    path = new_file(args.output, time.strftime("watch-%Y%m%dT%H%M%SZ", time.gmtime()), ".jsonl")
    if not args.quiet:
        print(f"writing {path}", file=sys.stderr)
    with closing(PatientSink(path)) as lines:
        yield lines
