"""`skyeye-edge watch`: answers about a live stream, as they come."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.lines import event_line
from skyeye_edge.cli.options import (
    Commands,
    add_command,
    add_every,
    add_json,
    add_model,
    add_questions,
    asked_tasks,
    open_model,
)

if TYPE_CHECKING:
    from skyeye_edge.runtime.sinks.jsonl import JsonlSink

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
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write events there too, as JSON Lines"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge watch`; 130 after Ctrl-C, 0 if the source ended by itself."""
    from skyeye_edge.core.tasks import Caption
    from skyeye_edge.runtime.sources import open_source
    from skyeye_edge.runtime.stream import ending_on_signals

    tasks = [Caption(), *asked_tasks(args)]
    with (
        closing(open_source(args.url)) as source,
        open_model(args) as model,
        model.stream(source, tasks=tasks, every=args.every) as events,
        recording(args) as lines,
        ending_on_signals(events) as is_interrupted,
    ):
        for event in events:
            if lines is not None:
                lines.write(event)
            print(event.to_json() if args.json else event_line(event), flush=True)
    if is_interrupted():
        raise KeyboardInterrupt
    return 0


@contextmanager
def recording(args: argparse.Namespace) -> Iterator[JsonlSink | None]:
    """The file of the events, if one is wanted; its name is new every time, so nothing is lost."""
    if args.output is None:
        yield None
        return
    from skyeye_edge.runtime.sinks.jsonl import JsonlSink
    from skyeye_edge.runtime.sinks.output import make_folder

    make_folder(args.output)
    path = args.output / time.strftime("watch-%Y%m%dT%H%M%SZ.jsonl", time.gmtime())
    if not args.quiet:
        print(f"writing {path}", file=sys.stderr)
    with closing(JsonlSink(path)) as lines:
        yield lines
