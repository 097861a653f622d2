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

    with training_bar(quiet=args.quiet) as tell:
        folder = train(args.recipe, resume=args.resume, on_event=tell)
    if not args.quiet:
        print(f"next: skyeye-edge merge {folder} -o CHECKPOINT", file=sys.stderr)
    print(folder)
    return 0


@contextmanager
def training_bar(*, quiet: bool) -> Iterator[Callable[[TrainingEvent], None]]:
    """A bar with loss, rate and time left, on a terminal only; the run's log has it all."""
    if quiet or not sys.stderr.isatty():
        yield lambda event: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.completed:.0f}/{task.total:.0f} steps, {task.fields[now]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as display:
        stages: dict[str, bars.TaskID] = {}

        def tell(event: TrainingEvent) -> None:
            minutes, seconds = divmod(round(event.seconds_left), 60)
            rate = f"{event.samples_per_second:.1f} samples/s"
            now = f"loss {event.loss:.3f}, {rate}, {minutes}:{seconds:02d} left"
            if event.stage not in stages:
                stages[event.stage] = display.add_task(event.stage, total=event.steps, now=now)
            display.update(stages[event.stage], completed=event.step, now=now)

        yield tell
