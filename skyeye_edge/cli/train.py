"""`skyeye-edge train`: a recipe from pictures to a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.options import Commands, add_command

if TYPE_CHECKING:
    from skyeye_edge.training import TrainingEvent

EXAMPLES = ("skyeye-edge train my_recipe.yaml", "skyeye-edge train my_recipe.yaml --resume")


def add_parser(commands: Commands) -> None:
    """Options of `train`."""
    summary = "Train as a recipe says (docs/train.md)."
    parser = add_command(commands, "train", summary, EXAMPLES)
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint of this run"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge train`."""
    from skyeye_edge.training import train

    with _display(quiet=args.quiet) as tell:
        folder = train(args.recipe, resume=args.resume, on_event=tell)
    if not args.quiet:
        print(f"next: skyeye-edge merge {folder} -o CHECKPOINT", file=sys.stderr)
    print(folder)
    return 0


@contextmanager
def _display(*, quiet: bool) -> Iterator[Callable[[TrainingEvent], None]]:
    """A bar per stage on a terminal, else a line per event; on stderr. Yields who to tell."""
    if quiet:
        yield lambda event: None
        return
    if not sys.stderr.isatty():
        yield lambda event: print(_line(event), file=sys.stderr, flush=True)
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[says]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as display:
        stages: dict[str, bars.TaskID] = {}

        def tell(event: TrainingEvent) -> None:
            if event.stage not in stages:
                stages[event.stage] = display.add_task(event.stage, total=event.steps, says="")
            display.update(stages[event.stage], completed=event.step, says=_says(event))

        yield tell


def _line(event: TrainingEvent) -> str:
    return f"{event.stage} {event.step}/{event.steps}  {_says(event)}"


def _says(event: TrainingEvent) -> str:
    minutes, seconds = divmod(round(event.seconds_left), 60)
    return (
        f"loss {event.loss:.3f}  {event.samples_per_second:.1f} samples/s  "
        f"{minutes}:{seconds:02} left"
    )
