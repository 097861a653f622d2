"""`skyeye-edge watch`: answers about a live stream, as they come."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.control import result_text
from skyeye_edge.cli.lines import event_line, says_it_again
from skyeye_edge.cli.options import (
    Commands,
    add_alert,
    add_command,
    add_damaged,
    add_every,
    add_json,
    add_model,
    add_questions,
    open_model,
    seconds,
)
from skyeye_edge.cli.watch_plan import Plan, plan_of_options, read_plan, with_folder
from skyeye_edge.core.errors import InputError, SkyEyeError

if TYPE_CHECKING:
    from skyeye_edge.runtime.control import Control

EXAMPLES = (
    'skyeye-edge watch udp://127.0.0.1:5600 --phrase "a boat" --alert "smoke; 3 of 5"',
    "skyeye-edge watch udp://127.0.0.1:5600 --every 0 --json -o out",
)


PLANNED = (  # what stands in the file where --config is given
    *("urls", "phrase", "question", "every", "keep_damaged", "gate", "heartbeat"),
    *("max_age", "max_latency", "priority", "alert", "source_option", "sinks"),
    *("record", "record_gib"),
)


def add_parser(commands: Commands) -> None:
    """Options of `watch`."""
    summary = "Watch live streams (rtsp://, rtp://, udp://, a camera, ...) until Ctrl-C."
    parser = add_command(commands, "watch", summary, EXAMPLES)
    parser.add_argument(
        "urls",
        nargs="*",
        default=[],
        metavar="URL",
        help="address, /dev/video0, gst:PIPELINE or - (docs/watch_a_stream.md); or a file",
    )
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
    add_pace(parser)
    add_outlets(parser)
    parser.set_defaults(run=run, defaults={name: parser.get_default(name) for name in PLANNED})
    add_service(parser)
    add_json(parser)


def add_pace(parser: argparse.ArgumentParser) -> None:
    """What is left out where there is too much, or nothing new."""
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


def add_outlets(parser: argparse.ArgumentParser) -> None:
    """Where events and packets go."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write events there too, as JSON Lines"
    )
    add_sinks(parser)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="keep the packets of live sources and all decisions there, for skyeye-edge replay",
    )
    parser.add_argument(
        "--record-gib",
        type=gib,
        default=16.0,
        metavar="N",
        help="room for packets there; the oldest go when it is full; default 16",
    )


def add_service(parser: argparse.ArgumentParser) -> None:
    """How it is run for months, and told what to do meanwhile."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take all of this from a YAML file; SIGHUP reads it "
        "anew, and what it changes is changed while the rest goes on",
    )
    parser.add_argument(
        "--control",
        type=Path,
        metavar="SOCKET",
        help="take commands here (skyeye-edge control SOCKET help); they can be typed as well",
    )


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge watch`; 130 after Ctrl-C, 0 after SIGTERM, SIGHUP or the end of the source."""
    from skyeye_edge.cli.watch_running import Running, opened_sinks, opened_sources
    from skyeye_edge.runtime.control import Control
    from skyeye_edge.runtime.ending import ending_on_signals

    plan = wanted_plan(args)
    skip = "skip" not in args.without
    with (
        ending_on_signals() as ending,
        opened_sources(plan.sources, plan.keep_damaged, skip) as sources,
        opened_sinks(plan.sinks) as sinks,
        open_model(args) as model,
        Running(model, plan, sources, sinks) as running,
        listening(args, Control(running.streams, args.output or Path())),
    ):
        for sink in () if args.quiet else sinks:
            print(f"writing {sink.name}", file=sys.stderr)
        events = running.streams
        reload = (
            None if args.config is None else partial(running.reload, partial(wanted_plan, args))
        )
        ending.stops(events, reload)
        voice = Voice(events.stop)
        for event in events:
            name = f"{event.source}: " if running.is_several else ""
            if args.json:
                voice.say(event.to_json())
            elif not says_it_again(event):
                voice.say(f"{name}{event_line(event)}")
    if ending.heard is not None:
        return leave(ending.heard)
    if voice.broken is not None:
        raise voice.broken
    return 1 if events.sinks.incomplete else 0


def wanted_plan(args: argparse.Namespace) -> Plan:
    """What the options or the file of --config say; raises InputError if both do."""
    if args.config is None:
        if not args.urls:
            raise InputError("watch: give an address, or --config with a file that names some")
        return plan_of_options(args)
    said = [name for name, default in args.defaults.items() if getattr(args, name) != default]
    if said:
        option = "URL" if said[0] == "urls" else f"--{said[0].replace('_', '-')}"
        raise InputError(f"{option}: this stands in the file where --config is given")
    return with_folder(read_plan(args.config), args.output)


@contextmanager
def listening(args: argparse.Namespace, control: Control) -> Iterator[None]:
    """Commands are taken from the terminal, and from a socket if one is wanted."""
    from skyeye_edge.cli.keyboard import Keyboard
    from skyeye_edge.runtime.control_socket import ControlSocket

    def obey(line: str) -> None:
        if line:
            print(told(control, line), file=sys.stderr)

    with ExitStack() as open_ones:
        open_ones.enter_context(Keyboard(obey))
        if args.control is not None:
            open_ones.enter_context(ControlSocket(args.control, control))
        yield


def told(control: Control, line: str) -> str:
    """What a command typed by a person gives, in words."""
    try:
        return result_text(control.obey(line))
    except SkyEyeError as error:
        return f"skyeye-edge: {error}"


def source_option(text: str) -> tuple[str, str]:
    """A value of --source-option."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        # not the text itself: it may be a password
        raise argparse.ArgumentTypeError("give NAME=VALUE, as rtsp_transport=udp")
    return name, value


def gib(text: str) -> float:
    """The value of --record-gib."""
    value = seconds(text)
    if value < 0.001:
        raise argparse.ArgumentTypeError(f"{text!r}: give at least 0.001 (a MiB)")
    return value


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
        "video to rtp://host:port (H.264), udp://host:port (MPEG-TS), rtsp:// or rtmp://, from a "
        "server of its own at rtsp://0.0.0.0:8554/x; docs/send_events_on.md has their settings, "
        "as in 'x.jsonl?fsync=each&rotate_mib=64'",
    )
