"""`skyeye-edge replay`: a recording, answered again, and compared with what was said then."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.cli.lines import clock, event_line, result_text
from skyeye_edge.cli.options import Commands, add_command, add_json, count
from skyeye_edge.core.errors import BundleError

if TYPE_CHECKING:
    from skyeye_edge.core.events import AnswerEvent, Event
    from skyeye_edge.core.results import TaskResult
    from skyeye_edge.runtime.model import Model
    from skyeye_edge.runtime.recording import Recorded, Recording
    from skyeye_edge.runtime.replay import Kept

EXAMPLES = (
    "skyeye-edge replay flights",
    "skyeye-edge replay flights --model my-bundle",
)
EPILOG = """\
A recording is made by `skyeye-edge watch URL --record DIR`, or by model.stream(..., record=DIR).
The same model gives the same events again, but for id, utc and timing_ms; if it does not, the lines
that differ are shown and the exit code is 1. With --model, what that bundle would have said instead
is shown, - then + now, and the exit code is 0.

"""


def add_parser(commands: Commands) -> None:
    """Options of `replay`."""
    summary = "Answer a recording again, and compare with what was said then."
    parser = add_command(commands, "replay", summary, EXAMPLES)
    parser.epilog = EPILOG + (parser.epilog or "")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recording, or several in it")
    parser.add_argument(
        "--model", type=Path, metavar="BUNDLE", help="what would this bundle have said?"
    )
    parser.add_argument(
        "--threads", type=count, metavar="N", help="that compute; default: as was measured here"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge replay`; 1 if something was said that was not said then."""
    from skyeye_edge.runtime.recording import find_recordings, read_recording

    codes = [replay(read_recording(each), args) for each in find_recordings(args.folder)]
    return max(codes)


def replay(recording: Recording, args: argparse.Namespace) -> int:
    """Answer one recording again; its exit code."""
    from skyeye_edge.core.events import AnswerEvent
    from skyeye_edge.runtime.replay import kept_of

    kept = kept_of(recording)
    say(args, about(recording, kept))
    if not any(isinstance(event, AnswerEvent) for event in kept.events):
        say(args, "there is nothing to answer")
        return 0
    with open_recorded_model(recording.wanted, args) as model:
        events = answered(recording, kept, model, args)
    if args.model is not None:
        return show_other(list(kept.events), events, args)
    return show_same(recording, list(kept.events), events, args)


def about(recording: Recording, kept: Kept) -> str:
    """What a recording holds, and what of it is lost."""
    text = f"{recording.folder}: {recording.wanted.source}, {len(recording.events)} events"
    if not recording.has_ended:
        text += ", not ended in order"
    if kept.lost:
        first, last = clock(kept.lost[0].time), clock(kept.lost[-1].time)
        text += (
            f"; {len(kept.lost)} answers from {first} to {last} cannot be had again, because their "
            "packets are gone (--record-gib, or a full disk)"
        )
    return text


def open_recorded_model(wanted: Recorded, args: argparse.Namespace) -> Model:
    """The model that answered then, or the one that is asked for.

    Raises:
        BundleError: the bundle is gone, or has changed since.
    """
    from skyeye_edge.runtime import load

    then = wanted.opened_as
    if args.model is not None:
        return load(args.model, min_score=then["min_score"], threads=args.threads)
    cuda = wanted.model["backend"].endswith("cuda")
    model = load(
        then["bundle"],
        device="cuda" if cuda else "cpu",
        vision="auto" if then["strict"] else then["vision"],
        language="auto" if then["strict"] else then["language"],
        strict=then["strict"],
        min_score=then["min_score"],
        threads=args.threads,
    )
    if model.description["bundle_sha256"] != wanted.model["bundle_sha256"]:
        model.close()
        raise BundleError(
            f"{then['bundle']}: another bundle than the one of the recording is there now; "
            f"put that back ({wanted.model['name']}, {wanted.model['bundle_sha256'][:12]}), or say "
            "with --model that another one is meant"
        )
    return model


def answered(
    recording: Recording, kept: Kept, model: Model, args: argparse.Namespace
) -> list[Event]:
    """The events, anew; each is told as it comes."""
    from skyeye_edge.cli.progress import count_bar
    from skyeye_edge.runtime.replay import replayed

    events = []
    with (
        replayed(recording, kept, model.submit, model.description) as stream,
        count_bar("replaying", len(kept.events), quiet=args.quiet) as tell,
    ):
        for event in stream:
            events.append(event)
            if args.model is None:
                print(event.to_json() if args.json else event_line(event), flush=True)
            tell(len(events))
    return events if recording.has_ended else events[: len(kept.events)]


def show_same(
    recording: Recording, then: list[Event], now: list[Event], args: argparse.Namespace
) -> int:
    """Whether all is as it was; where not, both lines."""
    from skyeye_edge.runtime.replay import comparable

    pairs = [
        (before, after)
        for before, after in zip(then, now, strict=False)
        if comparable(before) != comparable(after)
    ]
    for before, after in pairs:
        print(f"- {event_line(before)}\n+ {event_line(after)}", file=sys.stderr)
        for key, was, is_ in differing(comparable(before), comparable(after)):
            print(f"    {key}: {was} -> {is_}", file=sys.stderr)
    if pairs or len(then) != len(now):
        say(args, f"NOT the same: {len(pairs)} of {len(then)} events differ, {len(now)} came")
        return 1
    say(args, f"the same: {len(then)} of {len(then)} events are as they were recorded")
    return 0


def differing(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys with another value."""
    for key in then.keys() | now.keys():
        if then.get(key) != now.get(key):
            yield key, then.get(key), now.get(key)


def show_other(then: list[Event], now: list[Event], args: argparse.Namespace) -> int:
    """What another model says otherwise."""
    pairs = list(answers_of_both(then, now))
    different = 0
    for before, after in pairs:
        results = [
            (was, is_)
            for was, is_ in zip(before.results, after.results, strict=False)
            if was.to_dict() != is_.to_dict()
        ]
        different += bool(results)
        if results and args.json:
            print(json.dumps(difference(before, results), ensure_ascii=False), flush=True)
        elif results:
            said = [(result_text(was), result_text(is_)) for was, is_ in results]
            shown = [f"  - {was}\n  + {is_}" for was, is_ in said if was != is_]
            if shown:
                frames = ", ".join(map(str, before.frames))
                print(f"{clock(before.time)}  frame {frames}", *shown, sep="\n", flush=True)
    say(args, f"{different} of {len(pairs)} answers differ")
    return 0


def answers_of_both(
    then: list[Event], now: list[Event]
) -> Iterator[tuple[AnswerEvent, AnswerEvent]]:
    """Answers about the same frames."""
    from skyeye_edge.core.events import AnswerEvent

    new = {event.frames: event for event in now if isinstance(event, AnswerEvent) and event.frames}
    for event in then:
        if isinstance(event, AnswerEvent) and event.frames in new:
            yield event, new[event.frames]


def difference(event: AnswerEvent, results: list[tuple[TaskResult, TaskResult]]) -> dict[str, Any]:
    """What --json says of an answer that differs."""
    return {
        "source": event.source,
        "time": event.time,
        "frames": list(event.frames),
        "was": [was.to_dict() for was, _ in results],
        "now": [now.to_dict() for _, now in results],
    }


def say(args: argparse.Namespace, text: str) -> None:
    """A line for people, on stderr."""
    if not args.quiet:
        print(text, file=sys.stderr)
