"""`skyeye-edge demo`: the main job on the packaged clip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.lines import clock, result_text
from skyeye_edge.cli.options import Commands, add_command, add_model, add_overwrite, open_model
from skyeye_edge.cli.progress import progress_bar

if TYPE_CHECKING:
    from skyeye_edge.core.events import AnswerEvent, Event
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.runtime.captioning import Outputs
    from skyeye_edge.runtime.model import Model

EXAMPLES = ("skyeye-edge demo", "skyeye-edge demo -o out/again")
CLIP = Path(__file__).resolve().parent.parent / "assets" / "demo.mp4"
PHRASES = ("the red car", "the bus", "the river", "the plane")  # there is no plane


def add_parser(commands: Commands) -> None:
    """Options of `demo`."""
    summary = "Caption the packaged clip, find things in it, and write everything down."
    parser = add_command(commands, "demo", summary, EXAMPLES)
    add_model(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="default: out/demo",
    )
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge demo`."""
    from skyeye_edge.runtime.captioning import Outputs
    from skyeye_edge.runtime.sinks.ownership import check_free
    from skyeye_edge.runtime.stills import write_still

    folder: Path = args.output
    outputs = Outputs(
        events=folder / "events.jsonl",
        vtt=folder / "captions.vtt",
        srt=folder / "captions.srt",
        annotated=folder / "annotated.mp4",
    )
    picture = folder / "frame.png"
    check_free((*outputs.files, picture), overwrite=args.overwrite)
    with open_model(args) as model:
        print_model(model)
        answers = caption(model, outputs, quiet=args.quiet, overwrite=args.overwrite)
    write_still(CLIP, best(answers), picture, overwrite=args.overwrite)
    for file in (*outputs.files, picture):
        print(f"  {file}")
    return 0


def print_model(model: Model) -> None:
    """What answers, and under which terms."""
    manifest, runs = model.bundle.manifest, model.description
    use = "allowed" if manifest.commercial_use else "not allowed (commercial_use: false)"
    print(f"model     {manifest.name} {manifest.version}; commercial use {use}")
    print(f"running   vision {runs['vision']} on {runs['backend']}, language {runs['language']}")


def caption(model: Model, outputs: Outputs, *, quiet: bool, overwrite: bool) -> list[AnswerEvent]:
    """Ask once a second; every answer is printed as it comes."""
    from skyeye_edge.core.events import AnswerEvent
    from skyeye_edge.core.tasks import Caption, Ground
    from skyeye_edge.runtime.captioning import caption_file

    answers: list[AnswerEvent] = []

    def take(event: Event) -> None:
        if isinstance(event, AnswerEvent):
            answers.append(event)
            first, *rest = event.results
            print(f"{clock(event.time)}  {result_text(first)}")
            for result in rest:
                print(f"             {result_text(result)}")

    tasks: list[Task] = [Caption(), *(Ground(phrase) for phrase in PHRASES)]
    with progress_bar(CLIP.name, quiet=quiet) as tell:
        done = caption_file(
            model,
            CLIP,
            outputs,
            tasks,
            overwrite=overwrite,
            on_event=take,
            on_progress=tell,
        )
    print(f"asked {done.answered} of {done.counts.received} frames; the results:")
    if done.interrupted:
        raise KeyboardInterrupt
    return answers


def best(answers: list[AnswerEvent]) -> AnswerEvent:
    """The answer with the most to see: the sum of its boxes' scores."""
    from skyeye_edge.core.results import GroundResult

    def seen(event: AnswerEvent) -> float:
        hits = [result for result in event.results if isinstance(result, GroundResult)]
        return sum(box.score for hit in hits for box in hit.boxes)

    return max(answers, key=seen)
