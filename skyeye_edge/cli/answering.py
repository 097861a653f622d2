"""What `caption`, `ground` and `ask` have in common: files in, answers out."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.inputs import expand, is_image
from skyeye_edge.cli.lines import answers_text, event_line
from skyeye_edge.cli.options import (
    Commands,
    add_bundle,
    add_command,
    add_every,
    add_json,
    add_questions,
)
from skyeye_edge.cli.progress import progress_bar
from skyeye_edge.core.errors import InputError, MediaError

if TYPE_CHECKING:
    from skyeye_edge.core.events import Event
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.runtime.captioning import Captioned, Format
    from skyeye_edge.runtime.model import Model

FORMATS = ("vtt", "srt", "jsonl")
GOOD_ENDS = ("end of file", "end of folder")  # any other cause: what is there was not all there is


def add_answering(
    commands: Commands, name: str, summary: str, examples: tuple[str, str]
) -> argparse.ArgumentParser:
    """A command that asks about files, with all its options."""
    parser = add_command(commands, name, summary, examples)
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="image, video, or folder (its images by name, then its videos)",
    )
    add_questions(parser)
    add_bundle(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: here"
    )
    parser.add_argument(
        "-f",
        "--formats",
        type=formats,
        default=FORMATS,
        metavar="LIST",
        help="of a video: vtt,srt,jsonl; JSON Lines are always written (--resume reads them)",
    )
    parser.add_argument(
        "--annotate", action="store_true", help="also write <stem>.annotated.mp4, or .png"
    )
    add_every(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run over a video stopped"
    )
    add_json(parser)
    return parser


def formats(text: str) -> tuple[str, ...]:
    """The value of --formats."""
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in FORMATS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(FORMATS)}")
    return names


def answer_inputs(args: argparse.Namespace, tasks: Sequence[Task]) -> int:
    """Ask about every input; one that cannot be read is reported, and the others go on."""
    files = expand(args.inputs)
    check_outputs(files, annotate=args.annotate)
    from skyeye_edge.runtime import load

    code = 0
    with load(args.bundle) as model:
        for path in files:
            answer = answer_image if is_image(path) else answer_video
            try:
                code = max(code, answer(model, path, tasks, args))
            except MediaError as error:
                print(f"skyeye-edge: {error}", file=sys.stderr)
                code = max(code, error.exit_code)
    return code


def check_outputs(files: Sequence[Path], *, annotate: bool) -> None:
    """Refuse inputs of which one would overwrite the other's output; raises InputError."""
    written = Counter(
        (path.stem, is_image(path)) for path in files if annotate or not is_image(path)
    )
    for (stem, _), count in written.items():
        if count > 1:
            raise InputError(
                f"{count} of the inputs are called {stem!r}, and their outputs would be too; "
                "run them one by one, each with its own -o"
            )


def answer_image(model: Model, path: Path, tasks: Sequence[Task], args: argparse.Namespace) -> int:
    """One line per image; with --annotate also the drawn picture."""
    from skyeye_edge.core.events import AnswerEvent

    with model.stream(path, tasks=list(tasks), every=0) as events:
        (event,) = [each for each in events if isinstance(each, AnswerEvent)]
    print(event.to_json() if args.json else f"{path.name}: {answers_text(event)}", flush=True)
    if args.annotate:
        from skyeye_edge.runtime.stills import write_still

        picture = args.output / f"{path.stem}.annotated.png"
        write_still(path, event, picture)
        note(args, f"{path.name}: written: {picture}")
    return 0


def answer_video(model: Model, path: Path, tasks: Sequence[Task], args: argparse.Namespace) -> int:
    """One line per asked frame, and the files; 1 if the video breaks off, 130 after Ctrl-C."""
    from skyeye_edge.core.events import StateEvent
    from skyeye_edge.runtime.captioning import Outputs, caption_file

    end = ""

    def take(event: Event) -> None:
        nonlocal end
        show(event, as_json=args.json)
        if isinstance(event, StateEvent):
            end = event.cause

    wanted: tuple[Format, ...] = args.formats
    outputs = Outputs.in_folder(args.output, path.stem, wanted, annotate=args.annotate)
    with progress_bar(path.name, quiet=args.quiet) as tell:
        done = caption_file(
            model,
            path,
            outputs,
            tasks,
            every=args.every,
            resume=args.resume,
            on_event=take,
            on_progress=tell,
        )
    note(args, report(path, done))
    if done.interrupted:
        raise KeyboardInterrupt
    if end in GOOD_ENDS:
        return 0
    if args.quiet:  # otherwise the log has said so
        print(f"{path.name}: {end}", file=sys.stderr)
    return 1


def show(event: Event, *, as_json: bool) -> None:
    """An event on stdout; for people, answers only."""
    from skyeye_edge.core.events import AnswerEvent

    if as_json:
        print(event.to_json(), flush=True)
    elif isinstance(event, AnswerEvent):
        print(event_line(event), flush=True)


def report(path: Path, done: Captioned) -> str:
    """What became of a recording."""
    counts = done.counts
    lost = "".join(f", {number} {cause}" for cause, number in counts.dropped.items() if number)
    files = ", ".join(str(file) for file in done.files)
    return f"{path.name}: {done.answered} of {counts.received} frames asked{lost}; written: {files}"


def note(args: argparse.Namespace, text: str) -> None:
    """A line for people, on stderr."""
    if not args.quiet:
        print(text, file=sys.stderr)
