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
    from skyeye_edge.training import Scores, TrainingEvent

SCORES = {
    "captions": "captions, words and their order",
    "boxes": "boxes, overlap",
    "absent": "absent, said so",
    "questions": "questions, right answers",
    "classes": "classes, right names",
}
EXAMPLES = ("skyeye-edge train my_recipe.yaml", "skyeye-edge train my_recipe.yaml --resume")


def add_parser(commands: Commands) -> None:
    """Options of `train`."""
    summary = "Train as a recipe says (docs/train.md)."
    parser = add_command(commands, "train", summary, EXAMPLES)
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint of this run"
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="check the recipe, print it as YAML with every default written out, and do no more",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge train`."""
    from skyeye_edge.training import read_recipe, read_scores, show_recipe, train
    from skyeye_edge.training.run_folder import RunFolder

    if args.show:
        print(show_recipe(read_recipe(args.recipe)), end="")
        return 0
    with _display(quiet=args.quiet) as tell:
        folder = train(args.recipe, resume=args.resume, on_event=tell)
    if not args.quiet:
        for line in _table(read_scores(folder)):
            print(line, file=sys.stderr)
        if left_out := sum(map(len, (RunFolder(folder).left_out() or {}).values())):
            said = f"left out as unreadable: {left_out}, listed in {folder}/left_out.json"
            print(said, file=sys.stderr)
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


def _table(scores: Scores) -> Iterator[str]:
    """What the run changed, as lines for people."""
    from skyeye_edge.training.scoring import GROUPS

    changes = scores.changes()
    for group, title in GROUPS.items():
        own = [change for change in changes if change.group == group]
        if own:
            yield f"{f'{title} ({scores.number(group)})':42}before   after"
        for change in own:
            before, after = 100 * change.before.value, 100 * change.after.value
            name = f"{SCORES[change.kind]} ({change.after.number})"
            yield f"  {name:40}{before:4.0f} % {after:5.0f} %"
    if changes and not scores.number("held out"):
        yield "too few different images to hold one out: nothing says what new images will get"
    old = [change for change in changes if change.group == "old tasks"]
    lost = [change.kind for change in old if change.is_clear_loss]
    if lost:
        yield (
            f"old tasks lost more than a tenth ({', '.join(lost)}): lower learning_rate or steps, "
            "or mix in more of what the base knew (docs/train.md, Forgetting)"
        )


def _line(event: TrainingEvent) -> str:
    return f"{event.stage} {event.step}/{event.steps}  {_says(event)}"


def _says(event: TrainingEvent) -> str:
    minutes, seconds = divmod(round(event.seconds_left), 60)
    return (
        f"loss {event.loss:.3f}  {event.samples_per_second:.1f} samples/s  "
        f"{minutes}:{seconds:02} left"
    )
