"""`skyeye-edge data build|stats|check`: annotated images, before anything is learnt from them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.options import Commands, add_command, add_json, count
from skyeye_edge.cli.progress import count_bar

if TYPE_CHECKING:
    from skyeye_edge.training.data.inspection.statistics import SplitStatistics, Spread

EXAMPLES = (
    "skyeye-edge data check my_images/annotations.jsonl",
    "skyeye-edge data stats my_images/annotations.jsonl -o out",
)
CHART, SHEET = "chart.png", "examples.jpg"


def add_parser(commands: Commands) -> None:
    """Options of `data`."""
    summary = "Look at annotated images, find what is wrong with them, or write them as JSON Lines."
    parser = add_command(commands, "data", summary, EXAMPLES)
    parser.add_argument("action", choices=["build", "stats", "check"])
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="annotation files or folders of one format, or a recipe (.yaml) with its data",
    )
    parser.add_argument(
        "--format",
        default="lines",
        metavar="NAME",
        help="of the files, as docs/data.md lists them; default lines, our JSON Lines",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="of the images; default: as the format has it"
    )
    parser.add_argument("--split", metavar="NAME", help="stats, build: of this split alone")
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="check: no image may show the same as one of these (annotation files of the same "
        "format, or folders of images)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PATH",
        help="build: the file to write; stats: a folder for a chart and a sheet of examples",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="PATH",
        help="stats: count tokens with this tokenizer.model, or that of this checkpoint",
    )
    parser.add_argument(
        "--number", type=count, metavar="N", help="build: so many images, drawn by the seed"
    )
    parser.add_argument(
        "--make",
        metavar="KINDS",
        help="build: write a conversation about every image, of these kinds of turns "
        "(docs/data.md lists them), such as refer,phrase,express",
    )
    parser.add_argument(
        "--turns", type=count, default=4, metavar="N", help="build --make: at most; default 4"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="build; default 0")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge data`."""
    actions = {"build": build, "stats": stats, "check": check}
    return actions[args.action](args)


def check(args: argparse.Namespace) -> int:
    """A line for everything that is wrong; 1 if there is any."""
    from skyeye_edge.training.data.inspection.findings import check as find
    from skyeye_edge.training.data.inspection.findings import read_entries
    from skyeye_edge.training.data.inspection.sources import read_sources

    found, wrong = read_entries(read_sources(args.paths, args.format, args.images))
    against = read_sources(args.against, args.format, args.images)
    with count_bar("entries", len(found), quiet=args.quiet) as tell:
        checked = find(found, against, tell)
    findings = wrong + checked.findings
    for finding in findings:
        if args.json:
            print(json.dumps(finding.to_json(), ensure_ascii=False))
        else:
            print(f"{finding.place}: {finding.kind}: {finding.says}")
    if not args.quiet:
        number = len(findings)
        print(
            f"{checked.entries} entries, {checked.images} images: "
            f"{number or 'no'} finding{'s' if number != 1 else ''}",
            file=sys.stderr,
        )
    return 1 if findings else 0


def stats(args: argparse.Namespace) -> int:
    """What there is, by set and split; with -o also as pictures."""
    from skyeye_edge.training.data.inspection.examples import draw_examples
    from skyeye_edge.training.data.inspection.sources import read_encoder, read_sources, readable
    from skyeye_edge.training.data.inspection.statistics import draw_chart, statistics

    encode = read_encoder(args.tokenizer) if args.tokenizer else None
    everything = []
    for source in read_sources(args.paths, args.format, args.images):
        found = readable(source, args.split)
        everything += found
        for split, told in statistics(found, encode).items():
            if args.json:
                values = {"set": source.name, "split": split, **told.to_json()}
                print(json.dumps(values, ensure_ascii=False))
            else:
                print_statistics(f"{source.name}, {split}", told)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        print(draw_chart(everything, args.output / CHART), file=sys.stderr)
        sheet = draw_examples([each.item for each in everything], args.output / SHEET, args.seed)
        print(sheet, file=sys.stderr)
    return 0


def print_statistics(title: str, told: SplitStatistics) -> None:
    """One split, for people."""
    print(f"{title}: {told.images} images, {told.entries} entries")
    for task, number in told.tasks.items():
        line = f"  {task:<10}{number:>9}"
        for name, spreads in (("words", told.words), ("tokens", told.tokens)):
            if task in spreads:
                line += f"  {name} {_spread(spreads[task])}"
        if task == "box" and told.box_side and told.objects_per_image:
            sizes = ", ".join(f"{number} {name}" for name, number in told.boxes.items())
            line += f"  side {_spread(told.box_side)} pixels; {sizes}"
            line += f"; on an image {_spread(told.objects_per_image)}"
        print(line)
    for name, counts in (("labels", told.labels), ("classes", told.classes)):
        if counts:
            listed = ", ".join(f"{word} {number}" for word, number in list(counts.items())[:12])
            print(f"  {name} ({len(counts)}): {listed}")


def _spread(spread: Spread) -> str:
    return f"{spread.median:g} (mean {spread.mean:g}, most {spread.most:g})"


def build(args: argparse.Namespace) -> int:
    """Write our JSON Lines."""
    from skyeye_edge.core.errors import InputError
    from skyeye_edge.training.data.inspection.sources import choose, read_sources, readable
    from skyeye_edge.training.data.joining import apart
    from skyeye_edge.training.data.made import as_kinds, make_conversations
    from skyeye_edge.training.data.writing import write_lines

    if not args.output:
        raise InputError("say where to: -o FILE.jsonl")
    sources = read_sources(args.paths, args.format, args.images)
    found = apart([readable(source, args.split) for source in sources])
    chosen = choose(found, args.number, args.seed)
    if args.make:
        kinds = as_kinds(args.make.split(","))
        chosen = make_conversations(chosen, kinds, args.turns, args.seed)
    written = write_lines(chosen, args.output)
    if not args.quiet:
        print(f"{written} entries", file=sys.stderr)
    print(args.output)
    return 0
