"""`skyeye-edge evaluate`: how good a model is on annotated images, with intervals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.cli.judging import add_judges, judge, open_judges
from skyeye_edge.cli.models import Opened, open_model
from skyeye_edge.cli.options import Commands, add_command, count
from skyeye_edge.cli.progress import count_bar
from skyeye_edge.core.errors import InputError, OutputError

if TYPE_CHECKING:
    from skyeye_edge.evaluation import Answered, Evaluation, Sample
    from skyeye_edge.evaluation.judge import Judge
    from skyeye_edge.training.data.benchmark import Benchmark

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
  judged.jsonl      of judges: every prompt, reply and grade

"""
ANSWERS = "answers.jsonl"


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
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="annotations of the images, or a list of such sets (.yaml, docs/evaluate.md)",
    )
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
    add_judges(parser)
    parser.set_defaults(run=run)


def names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge evaluate`."""
    if (args.data is None) == (args.answers is None):
        raise InputError("evaluate: give --data FILE to ask a model, or --answers FILE to score")
    if args.draws < 0 or args.seed < 0:
        raise InputError("--draws and --seed are whole numbers from 0 up")
    judges = open_judges(args)
    if args.answers:
        wanted = from_options(args, args.answers)
        report(args, judges, wanted, *read(wanted), args.output)
        return 0
    listed = is_list(args.data)
    several = read_list(args) if listed else [from_options(args, args.data)]
    folders = [args.output / each.name if listed else args.output for each in several]
    check_free(args, folders)
    asked = [read_samples(each) for each in several]  # what is wrong is said before the work
    pages = []
    with open_model(args.model) as model:
        for wanted, samples, folder in zip(several, asked, folders, strict=True):
            facts, answers = ask(args, model, wanted, samples, folder)
            pages.append(report(args, judges, wanted, facts, answers, folder))
    if listed:
        write_summary(pages, folders, args.output)
    return 0


def is_list(data: Path) -> bool:
    """Whether --data names several sets."""
    return data.suffix.lower() in (".yaml", ".yml")


def from_options(args: argparse.Namespace, path: Path) -> Benchmark:
    """The one set that the options mean."""
    from skyeye_edge.training.data.benchmark import Benchmark

    return Benchmark(
        path,
        args.name,
        args.format,
        args.images,
        args.split,
        args.tasks,
        args.limit or 0,
        args.benchmark,
    )


def read_list(args: argparse.Namespace) -> list[Benchmark]:
    """The sets of a YAML file; --limit and --tasks hold for all of them."""
    from skyeye_edge.training.data.benchmark import read_benchmarks

    if args.benchmark or args.name or args.images:
        raise InputError("--benchmark, --name and --images: write them into the list, for each set")
    changes = {"limit": args.limit} if args.limit else {}
    changes |= {"tasks": args.tasks} if args.tasks else {}
    return [replace(each, **changes) for each in read_benchmarks(args.data)]


def read_samples(wanted: Benchmark) -> list[Sample]:
    """The questions of a set."""
    from skyeye_edge.training.data.exam import read_samples as read_all

    return read_all(wanted)


def check_free(args: argparse.Namespace, folders: Sequence[Path]) -> None:
    """Refuse to mix answers with those of an earlier run; raises OutputError."""
    for folder in folders:
        path = folder / ANSWERS
        if path.exists() and args.overwrite:
            path.unlink()
        if path.exists() and not args.resume:
            raise OutputError(
                f"{path}: there are answers already; --resume goes on with them, --overwrite "
                "begins anew"
            )


def read(wanted: Benchmark) -> tuple[dict[str, Any], Sequence[Answered]]:
    """Answers that were given before."""
    from skyeye_edge.evaluation import read_answers

    file = read_answers(wanted.path)
    chosen = [each for each in file.answers if not wanted.tasks or each.task in wanted.tasks]
    if not chosen:
        raise InputError(f"{wanted.path}: holds no answer{' of these tasks' * bool(wanted.tasks)}")
    return {**file.header, "answers": str(wanted.path)}, chosen


def ask(
    args: argparse.Namespace,
    model: Opened,
    wanted: Benchmark,
    samples: Sequence[Sample],
    folder: Path,
) -> tuple[dict[str, Any], Sequence[Answered]]:
    """The answers of a model, new or in part from an interrupted run."""
    from skyeye_edge.evaluation import record_answers

    facts = {
        "model": model.name,
        "data": wanted.path.name,
        "split": wanted.split,
        "tasks": sorted({sample.unanswered.task for sample in samples}),
        "questions": len(samples),
    }
    with count_bar(wanted.name, len(samples), quiet=args.quiet) as tell:
        answers = record_answers(
            model.predictor,
            samples,
            folder / ANSWERS,
            facts,
            most_frames=model.frames,
            tell=tell,
        )
    return facts, answers


def report(
    args: argparse.Namespace,
    judges: Sequence[Judge],
    wanted: Benchmark,
    facts: dict[str, Any],
    answers: Sequence[Answered],
    folder: Path,
) -> Evaluation:
    """Score, print and write."""
    from skyeye_edge.evaluation import Drawing, evaluate_answers, write_report

    drawing = Drawing(args.draws, args.seed)
    found = evaluate_answers(
        str(facts.get("data", wanted.name)) if args.answers and not args.name else wanted.name,
        answers,
        run=facts,
        drawing=drawing,
        benchmark=wanted.benchmark,
        judged=judge(args, judges, answers, folder, drawing) if judges else [],
    )
    files = write_report(found, folder)
    for line in table_lines(found):
        print(line)
    if not args.quiet:
        print(f"written: {', '.join(map(str, files))}", file=sys.stderr)
    return found


def write_summary(found: Sequence[Evaluation], folders: Sequence[Path], output: Path) -> None:
    """`evaluation.md` of several sets: a line for each figure of each."""
    from skyeye_edge.evaluation.report import build_summary

    names = [folder.name for folder in folders]
    text = "\n".join(build_summary(found, names)) + "\n"
    (output / "evaluation.md").write_text(text, "utf-8")


def table_lines(found: Evaluation) -> Iterator[str]:
    """The figures for a terminal."""
    from skyeye_edge.evaluation.report import figure_text

    for table in found.tables:
        yield f"{table.task}: {table.title}"
        for figure in table.figures:
            note = f"  {figure.note}" if figure.note else ""
            yield f"  {figure.name:32} {figure_text(figure):>28}  n {figure.number:,}{note}"
