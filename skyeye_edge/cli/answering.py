"""What `caption`, `ground` and `ask` have in common: files in, answers out."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.inputs import Entry, check_readable, expand, is_image
from skyeye_edge.cli.lines import answers_text, event_line
from skyeye_edge.cli.options import (
    Commands,
    add_command,
    add_damaged,
    add_every,
    add_json,
    add_model,
    add_overwrite,
    add_questions,
    open_model,
)
from skyeye_edge.cli.progress import progress_bar
from skyeye_edge.core.errors import InputError, MediaError, OutputError

if TYPE_CHECKING:
    from skyeye_edge.core.events import AnswerEvent, Event
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.runtime.captioning import Captioned, Format, Outputs
    from skyeye_edge.runtime.model import Model

FORMATS: tuple[Format, ...] = ("vtt", "srt", "jsonl", "txt", "tsv")
OF_VIDEOS: tuple[Format, ...] = ("vtt", "srt", "jsonl")  # where nobody says
OF_IMAGES: tuple[Format, ...] = ("jsonl", "txt", "tsv")  # where somebody asks; they have no times
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
    parser.add_argument(
        "-r",
        "--recursive",
        action="store_true",
        help="search folders to the bottom; outputs lie in folders of the same names",
    )
    add_questions(parser)
    add_model(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: here"
    )
    parser.add_argument(
        "-f",
        "--formats",
        type=formats,
        metavar="LIST",
        help="files to write, <stem>.skyeye.<format>: of a video vtt,srt,jsonl,txt,tsv (default: "
        "the first three), of an image jsonl,txt,tsv (default: none); jsonl comes with any "
        "other (--resume reads it)",
    )
    parser.add_argument(
        "--annotate", action="store_true", help="also write <stem>.annotated.mp4, or .png"
    )
    add_every(parser)
    add_damaged(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run over a video stopped"
    )
    add_overwrite(parser)
    add_json(parser)
    return parser


def formats(text: str) -> tuple[str, ...]:
    """The value of --formats."""
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in FORMATS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(FORMATS)}")
    return names


def answer_inputs(args: argparse.Namespace, tasks: Sequence[Task]) -> int:
    """Ask about every input; one that cannot be asked about is named, and the others go on."""
    found = expand(args.inputs, recursive=args.recursive)
    jobs = [Job(entry, args, named=len(found.entries) > 1) for entry in found.entries]
    check_outputs(jobs, args)
    codes: list[tuple[Path, int]] = []
    with open_model(args) as model:
        for job in jobs:
            try:
                check_readable(job.path)
                ask = answer_image if job.is_image else answer_video
                code = ask(model, job, tasks)
            except (MediaError, OutputError) as error:
                print(f"skyeye-edge: {error}", file=sys.stderr)
                code = error.exit_code
            codes.append((job.path, code))
    if len(codes) > 1:
        note(args, summary(codes, found.left_alone))
    return max(code for _, code in codes)


@dataclass(frozen=True, slots=True)
class Job:
    """An entry, and what is wanted of it."""

    entry: Entry
    args: argparse.Namespace
    named: bool  # one of several, so that every line says which

    @property
    def path(self) -> Path:
        """The file that is asked about."""
        return self.entry.path

    @property
    def is_image(self) -> bool:
        """Whether it is an image; else a video."""
        return is_image(self.path)

    @property
    def outputs(self) -> Outputs | None:
        """The files that are made from events; None if there are to be none."""
        from skyeye_edge.runtime.captioning import Outputs

        asked: tuple[Format, ...] | None = self.args.formats
        if self.is_image:
            wanted = tuple(each for each in asked or () if each in OF_IMAGES)
            return Outputs.in_folder(self._folder, self.path.stem, wanted) if wanted else None
        return Outputs.in_folder(
            self._folder, self.path.stem, asked or OF_VIDEOS, annotate=self.args.annotate
        )

    @property
    def picture(self) -> Path | None:
        """The drawn image, if one is wanted."""
        wanted = self.is_image and self.args.annotate
        return self._folder / f"{self.path.stem}.annotated.png" if wanted else None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that will be written."""
        outputs, picture = self.outputs, self.picture
        return (*(outputs.files if outputs else ()), *((picture,) if picture else ()))

    @property
    def _folder(self) -> Path:
        folder: Path = self.args.output / self.entry.under
        return folder


def check_outputs(jobs: Sequence[Job], args: argparse.Namespace) -> None:
    """Refuse to write one file for two inputs, or where others have written.

    Raises:
        InputError: two inputs have the same outputs, or --formats gives none.
        OutputError: something stands there that is not ours.
    """
    from skyeye_edge.runtime.sinks.ownership import check_free, same_name

    files = [file for job in jobs for file in job.files]
    if args.formats and not files:
        raise InputError(f"-f {','.join(args.formats)}: images have {','.join(OF_IMAGES)} only")
    written = Counter((file.parent, same_name(file.name)) for file in files)
    for file in files:
        if (count := written[file.parent, same_name(file.name)]) > 1:
            raise InputError(
                f"{file}: {count} of the inputs would be written there; "
                "run them one by one, each with its own -o"
            )
    check_free(files, overwrite=args.overwrite)


def answer_image(model: Model, job: Job, tasks: Sequence[Task]) -> int:
    """One line per image, and the files that are wanted."""
    from skyeye_edge.runtime.captioning import caption_file
    from skyeye_edge.runtime.resume import read_events
    from skyeye_edge.runtime.stills import write_still

    args, outputs, picture = job.args, job.outputs, job.picture
    if outputs is None:
        with model.stream(job.path, tasks=list(tasks), every=0) as events:
            answer = only_answer(events)
    else:
        options = {"resume": args.resume, "overwrite": args.overwrite}
        caption_file(model, job.path, outputs, tasks, every=0, **options)
        answer = only_answer(read_events(outputs.events))
    print(answer.to_json() if args.json else f"{job.path}: {answers_text(answer)}", flush=True)
    if picture is not None:
        write_still(job.path, answer, picture, overwrite=args.overwrite)
    if job.files:
        note(args, f"{job.path}: written: {', '.join(map(str, job.files))}")
    return 0


def only_answer(events: Iterator[Event]) -> AnswerEvent:
    """The answer of a stream of one image."""
    from skyeye_edge.core.events import AnswerEvent

    (answer,) = [event for event in events if isinstance(event, AnswerEvent)]
    return answer


def answer_video(model: Model, job: Job, tasks: Sequence[Task]) -> int:
    """One line per asked frame, and the files; 1 if the video breaks off, 130 after Ctrl-C."""
    from skyeye_edge.core.events import StateEvent
    from skyeye_edge.runtime.captioning import caption_file

    args, outputs, end = job.args, job.outputs, ""
    assert outputs is not None  # a video has files

    def take(event: Event) -> None:
        nonlocal end
        show(event, as_json=args.json, name=f"{job.path}: " if job.named else "")
        if isinstance(event, StateEvent):
            end = event.cause

    with progress_bar(job.path.name, quiet=args.quiet) as tell:
        done = caption_file(
            model,
            job.path,
            outputs,
            tasks,
            every=args.every,
            keep_damaged=args.keep_damaged,
            resume=args.resume,
            overwrite=args.overwrite,
            on_event=take,
            on_progress=tell,
        )
    note(args, report(job.path, done))
    if done.interrupted:
        raise KeyboardInterrupt
    if end in GOOD_ENDS:
        return 0
    if args.quiet:  # otherwise the log has said so
        print(f"{job.path}: {end}", file=sys.stderr)
    return 1


def show(event: Event, *, as_json: bool, name: str = "") -> None:
    """An event on stdout; for people, answers only, each after the name of its file."""
    from skyeye_edge.core.events import AnswerEvent

    if as_json:
        print(event.to_json(), flush=True)
    elif isinstance(event, AnswerEvent):
        print(f"{name}{event_line(event)}", flush=True)


def report(path: Path, done: Captioned) -> str:
    """What became of a recording."""
    counts = done.counts
    lost = "".join(f", {number} {cause}" for cause, number in counts.dropped.items() if number)
    files = ", ".join(str(file) for file in done.files)
    return f"{path}: {done.answered} of {counts.received} frames asked{lost}; written: {files}"


def summary(codes: Sequence[tuple[Path, int]], left_alone: int) -> str:
    """How many files were answered, and which were not, or not to their end."""
    failed = [str(path) for path, code in codes if code]
    text = f"{len(codes) - len(failed)} of {len(codes)} files answered"
    text += f"; not: {', '.join(failed)}" if failed else ""
    return text + (f"; {left_alone} left alone, no image or video" if left_alone else "")


def note(args: argparse.Namespace, text: str) -> None:
    """A line for people, on stderr."""
    if not args.quiet:
        print(text, file=sys.stderr)
