"""`skyeye-edge evaluate`: how good a model is on annotated images, with intervals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.cli.options import Commands, add_command, count
from skyeye_edge.cli.progress import count_bar
from skyeye_edge.core.errors import InputError, OutputError

if TYPE_CHECKING:
    from skyeye_edge.core.results import TaskResult
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.evaluation import Answered, ClipPredictor, Evaluation, Pictures

EXAMPLES = (
    "skyeye-edge evaluate my-bundle --data my_images/annotations.jsonl --split val -o my-report",
    "skyeye-edge evaluate --answers my-report/answers.jsonl -o my-second-report",
)
MORE = """\
what is written into DIR:
  answers.jsonl     every question with its right answer and what was said, as it comes; after
                    Ctrl-C, --resume goes on from it, and --answers scores it again without a model
  evaluation.json   the figures with intervals, and every answer with its score
  evaluation.md     the same as a page, published figures beside; evaluation.png draws them

"""
ANSWERS = "answers.jsonl"
CHECKPOINT = "skyeye.json"  # what only a checkpoint has


def add_parser(commands: Commands) -> None:
    """Options of `evaluate`."""
    summary = "Measure a model on annotated images (docs/evaluate.md)."
    parser = add_command(commands, "evaluate", summary, EXAMPLES)
    parser.epilog = MORE + str(parser.epilog)
    parser.add_argument(
        "model",
        type=Path,
        nargs="?",
        metavar="MODEL",
        help="folder of a bundle or a checkpoint; default: the packaged model",
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="annotations of the images")
    parser.add_argument(
        "--format",
        default="lines",
        metavar="NAME",
        help="of --data, as docs/data.md lists them; default lines, our JSON Lines",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="of the images; default: as the format has it"
    )
    parser.add_argument(
        "--split", default="test", metavar="NAME", help='which images; "all"; default test'
    )
    parser.add_argument(
        "--tasks",
        type=names,
        default=(),
        metavar="LIST",
        help="of caption,ground,absent,detect,ask,classify,identify; default: all that the data "
        "know answers to",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="images, evenly spaced")
    parser.add_argument("--name", default="", metavar="TEXT", help="title of the report")
    parser.add_argument(
        "--benchmark",
        default="",
        metavar="NAME",
        help="show published figures about it, such as RSICD or RSVQA-LR",
    )
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="score these answers; no model is asked"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--overwrite", action="store_true", help="begin anew in DIR")
    parser.add_argument(
        "--draws",
        type=int,
        default=1000,
        metavar="N",
        help="of the bootstrap that makes the intervals; 0: none; default 1000",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of it; default 0")
    parser.set_defaults(run=run)


def names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge evaluate`."""
    from skyeye_edge.evaluation import Drawing, evaluate_answers, write_report
    from skyeye_edge.evaluation.published import published_about

    check(args)
    published_about(args.benchmark)  # a wrong name is said before the work, not after
    facts, answers = read(args) if args.answers else ask(args)
    found = evaluate_answers(
        args.name or str(facts.get("data") or Path(args.answers or args.data).name),
        answers,
        run=facts,
        drawing=Drawing(args.draws, args.seed),
        benchmark=args.benchmark,
    )
    files = write_report(found, args.output)
    for line in table_lines(found):
        print(line)
    if not args.quiet:
        print(f"written: {', '.join(map(str, files))}", file=sys.stderr)
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant; raises InputError."""
    from skyeye_edge.evaluation import TASK_NAMES

    if (args.data is None) == (args.answers is None):
        raise InputError("evaluate: give --data FILE to ask a model, or --answers FILE to score")
    if unknown := [name for name in args.tasks if name not in TASK_NAMES]:
        raise InputError(f"--tasks {unknown[0]}: known are {', '.join(TASK_NAMES)}")
    if args.draws < 0 or args.seed < 0:
        raise InputError("--draws and --seed are whole numbers from 0 up")


def read(args: argparse.Namespace) -> tuple[dict[str, Any], Sequence[Answered]]:
    """Answers that were given before."""
    from skyeye_edge.evaluation import read_answers

    file = read_answers(args.answers)
    chosen = [each for each in file.answers if not args.tasks or each.task in args.tasks]
    if not chosen:
        raise InputError(f"{args.answers}: holds no answer{' of these tasks' * bool(args.tasks)}")
    return {**file.header, "answers": str(args.answers)}, chosen


def ask(args: argparse.Namespace) -> tuple[dict[str, Any], Sequence[Answered]]:
    """The answers of a model, new or in part from an interrupted run."""
    from skyeye_edge.evaluation import record_answers
    from skyeye_edge.training.data.exam import read_samples

    samples = read_samples(
        args.data,
        args.format,
        args.split,
        images=args.images,
        tasks=args.tasks,
        limit=args.limit or 0,
    )
    path = args.output / ANSWERS
    if path.exists() and args.overwrite:
        path.unlink()
    if path.exists() and not args.resume:
        raise OutputError(
            f"{path}: there are answers already; --resume goes on with them, --overwrite begins "
            "anew"
        )
    with open_model(args.model) as model:
        facts = {
            "model": model.name,
            "data": args.data.name,
            "split": args.split,
            "tasks": sorted({sample.unanswered.task for sample in samples}),
            "questions": len(samples),
        }
        with count_bar("questions", len(samples), quiet=args.quiet) as tell:
            answers = record_answers(
                model.predictor, samples, path, facts, most_frames=model.frames, tell=tell
            )
    return facts, answers


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that can be asked."""

    name: str  # for the report; another model has another one
    predictor: ClipPredictor
    frames: int  # that it takes of a clip; 0: any number


@contextmanager
def open_model(folder: Path | None) -> Iterator[Opened]:
    """A bundle in the runtime, or a checkpoint in PyTorch; closed at the end.

    Raises:
        InputError: the folder is neither.
    """
    from skyeye_edge.core.manifest import MANIFEST_NAME

    if folder is not None and (folder / CHECKPOINT).exists():
        from skyeye_edge.training import CheckpointPredictor

        name = f"{folder.absolute().name} (checkpoint {digest(folder)}, PyTorch)"
        checkpoint = CheckpointPredictor(folder)
        yield Opened(name, checkpoint, checkpoint.spec.frames)
        return
    if folder is not None and not (folder / MANIFEST_NAME).exists():
        raise InputError(
            f"{folder}: neither a bundle ({MANIFEST_NAME}) nor a checkpoint ({CHECKPOINT})"
        )
    from skyeye_edge.runtime import load

    with load(folder) as model:

        class Runtime:
            """Names of parameters differ, nothing else."""

            def run(self, image: Pictures, tasks: Sequence[Task], /) -> Sequence[TaskResult]:
                return model.run(image, list(tasks))

        bundle = model.bundle
        name = f"{bundle.manifest.name} (bundle {bundle.sha256[:12]})"
        yield Opened(name, Runtime(), model.spec.frames)


def digest(folder: Path) -> str:
    """What tells a checkpoint from another of its name: its description, and its aligner."""
    import hashlib

    found = hashlib.sha256((folder / CHECKPOINT).read_bytes())
    for file in sorted(folder.rglob("*.safetensors")):
        found.update(f"{file.relative_to(folder)} {file.stat().st_size}".encode())
    aligner = folder / "aligner.safetensors"  # every training changes it
    found.update(aligner.read_bytes() if aligner.exists() else b"")
    return found.hexdigest()[:12]


def table_lines(found: Evaluation) -> Iterator[str]:
    """The figures for a terminal."""
    from skyeye_edge.evaluation.report import figure_text

    for table in found.tables:
        yield f"{table.task}: {table.title}"
        for figure in table.figures:
            note = f"  {figure.note}" if figure.note else ""
            yield f"  {figure.name:32} {figure_text(figure):>28}  n {figure.number:,}{note}"
