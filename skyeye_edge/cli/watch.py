"""`skyeye-edge watch`: answers about a live stream, as they come."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.lines import event_line
from skyeye_edge.cli.options import (
    Commands,
    add_alert,
    add_command,
    add_damaged,
    add_every,
    add_json,
    add_model,
    add_questions,
    asked_alerts,
    asked_tasks,
    open_model,
    seconds,
)
from skyeye_edge.core.errors import InputError

if TYPE_CHECKING:
    from skyeye_edge.runtime.model import Model
    from skyeye_edge.runtime.sinks.sink import Sink
    from skyeye_edge.runtime.sources.source import Source
    from skyeye_edge.runtime.stream import Stream
    from skyeye_edge.runtime.streams import Streams

EXAMPLES = (
    'skyeye-edge watch udp://127.0.0.1:5600 --phrase "a boat" --alert "smoke; 3 of 5"',
    "skyeye-edge watch udp://127.0.0.1:5600 --every 0 --json -o out",
)


def add_parser(commands: Commands) -> None:
    """Options of `watch`."""
    summary = "Watch live streams (udp:// as MPEG-TS, rtsp://) until Ctrl-C."
    parser = add_command(commands, "watch", summary, EXAMPLES)
    parser.add_argument("urls", nargs="+", metavar="URL", help="address; a file is watched as well")
    add_questions(parser)
    add_alert(parser)
    add_model(parser)
    add_every(parser)
    add_damaged(parser)
    parser.add_argument(
        "--source-option",
        action="append",
        type=source_option,
        default=[],
        metavar="NAME=VALUE",
        help="of a live source, as rtsp_transport=udp (docs/watch_a_stream.md); may be repeated",
    )
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
    add_sinks(parser)
    parser.add_argument(
        "--max-age",
        type=seconds,
        metavar="S",
        help="drop frames that are older when their turn comes; default: none",
    )
    parser.add_argument(
        "--max-latency",
        type=seconds,
        metavar="S",
        help="leave out words, then tasks, then frames while answers come later; default: nothing",
    )
    parser.add_argument(
        "--priority",
        type=priorities,
        metavar="LIST",
        help="of several URLs, how many turns each gets, as 2,1,1; default: the same",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge watch`; 130 after Ctrl-C, 0 after SIGTERM, SIGHUP or the end of the source."""
    from skyeye_edge.runtime.ending import ending_on_signals

    with (
        ending_on_signals() as ending,
        opened_sources(args) as sources,
        opened_sinks(args) as sinks,
        open_model(args) as model,
        watched(model, sources, sinks, args) as events,
    ):
        ending.stops(events)
        voice = Voice(events.stop)
        for event in events:
            name = f"{event.source}: " if len(sources) > 1 else ""
            voice.say(event.to_json() if args.json else f"{name}{event_line(event)}")
    if ending.heard is not None:
        return leave(ending.heard)
    if voice.broken is not None:
        raise voice.broken
    return 1 if events.sinks.incomplete else 0


@contextmanager
def opened_sources(args: argparse.Namespace) -> Iterator[list[Source]]:
    """What is watched; checked before the model is opened."""
    from skyeye_edge.runtime.sources import open_source

    check_priorities(args)
    asked_alerts(args)
    with ExitStack() as opened:
        yield [
            opened.enter_context(
                closing(
                    open_source(
                        url,
                        options=dict(args.source_option),
                        keep_damaged=args.keep_damaged,
                        skip="skip" not in args.without,
                    )
                )
            )
            for url in args.urls
        ]


def watched(
    model: Model, sources: Sequence[Source], sinks: Sequence[Sink], args: argparse.Namespace
) -> Stream | Streams:
    """The events of all sources."""
    from skyeye_edge.core.tasks import Caption

    tasks = [Caption(), *asked_tasks(args)]
    options = {
        "every": args.every,
        "gate": args.gate,
        "heartbeat": args.heartbeat,
        "max_age": args.max_age,
        "max_latency": args.max_latency,
        "alerts": asked_alerts(args),
        "sinks": sinks,
    }
    if len(sources) == 1:
        return model.stream(sources[0], tasks, **options)
    return model.streams(sources, tasks, priorities=args.priority, **options)


def check_priorities(args: argparse.Namespace) -> None:
    """Refuse more or fewer than URLs; raises InputError."""
    if args.priority is not None and len(args.priority) != len(args.urls):
        raise InputError(
            f"--priority: {len(args.priority)} numbers for {len(args.urls)} URLs; give one each"
        )


def source_option(text: str) -> tuple[str, str]:
    """A value of --source-option."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        # not the text itself: it may be a password
        raise argparse.ArgumentTypeError("give NAME=VALUE, as rtsp_transport=udp")
    return name, value


def priorities(text: str) -> list[float]:
    """The value of --priority."""
    shares = [seconds(part) for part in text.split(",")]
    if 0 in shares:
        raise argparse.ArgumentTypeError(f"{text!r}: a priority of 0 would have no turn")
    return shares


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


def add_sinks(parser: argparse.ArgumentParser) -> None:
    """The option for where events go besides."""
    parser.add_argument(
        "--sink",
        dest="sinks",
        action="append",
        default=[],
        metavar="WHAT",
        help="send events there, too, again for each: DIR/, x.jsonl, x.vtt, x.srt, annotated x.mp4 "
        "or x.ts, shots/{index}.jpg, mqtt://host/prefix, udp+json://host:port, unix:/path, live "
        "video to rtp://host:port (H.264), udp://host:port (MPEG-TS), rtsp:// or rtmp://; with "
        "settings as in 'x.jsonl?fsync=each&rotate_mib=64'",
    )


@contextmanager
def opened_sinks(args: argparse.Namespace) -> Iterator[list[Sink]]:
    """Where events go besides; opened before the model, so that a wrong one is told at once."""
    from skyeye_edge.runtime.sinks import open_sinks

    wanted = [f"{args.output}{os.sep}"] if args.output is not None else []
    sinks = open_sinks([*wanted, *args.sinks])
    if not args.quiet:
        for sink in sinks:
            print(f"writing {sink.name}", file=sys.stderr)
    with ExitStack() as stack:
        for sink in sinks:
            stack.enter_context(closing(sink))
        yield sinks
        stack.pop_all()  # the stream has closed them, or left alone what does not end
