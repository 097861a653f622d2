"""How good skyeye-tiny is at each task, on images it has not seen.

    python benchmarks/evaluate_tiny.py DATA --checkpoint DIR      PyTorch, float32
    python benchmarks/evaluate_tiny.py DATA --bundle DIR          the runtime, as shipped

DATA holds rsicd/, scenes/ucm/, boxes/ and drone/. `skyeye-edge evaluate` measures single sets; this
is the list that the model card states, with drawn scenes, and how far scores of boxes can be
believed. What a caption score means depends on how many different references an image has: copies
of one sentence are easily hit. The official test split of RSICD is like the images with four and
more, so that line is the one to look at. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skyeye_edge.cli.models import open_model
from skyeye_edge.core.errors import DataError
from skyeye_edge.evaluation import (
    Answered,
    Drawing,
    Sample,
    TaskName,
    ask_all,
    caption_words,
    evenly,
    expected_calibration_error,
    plot_reliability,
    score_answers,
    scored_boxes,
)
from skyeye_edge.evaluation.figures import Table
from skyeye_edge.evaluation.reliability import Scored
from skyeye_edge.evaluation.report import figure_text
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.exam import build_samples
from skyeye_edge.training.data.readers import read_annotations
from skyeye_edge.training.data.synthetic import RESERVED_SEEDS, render_scene

OBJECTS_PER_IMAGE = 12  # detection: answers for more would not fit their limit of tokens
CLEARLY_DIFFERENT = 4  # references


def main() -> None:
    """Evaluate, print a table, and one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--checkpoint", type=Path, metavar="DIR")
    which.add_argument("--bundle", type=Path, metavar="DIR", help="default: the packaged one")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="images of each set")
    parser.add_argument("--scenes", type=int, default=300, metavar="N", help="synthetic scenes")
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--reliability", type=Path, metavar="PNG", help="draw scores of boxes against right ones"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    args = parser.parse_args()
    scored: dict[str, list[Scored]] = {}
    figures: dict[str, Any] = {}
    with open_model(args.checkpoint or args.bundle) as model:
        for name in args.only or PARTS:
            began = time.monotonic()
            answers = list(ask_all(model.predictor, PARTS[name](args), model.frames))
            figures[name] = show(name, answers, scored)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if args.reliability:
        plot_reliability(scored, args.reliability)
    print(json.dumps({"benchmark": "evaluate_tiny", "model": model.name, **figures}))


def show(name: str, answers: Sequence[Answered], scored: dict[str, list[Scored]]) -> dict[str, Any]:
    """Print the tables of a part; returns them for programs."""
    drawing = Drawing()
    tables = score_answers(answers, drawing)
    different = [answer for answer in answers if has_different_references(answer)]
    if 0 < len(different) < sum(answer.task == "caption" for answer in answers):
        for table in score_answers(different, drawing):
            title = f"{table.title}, {CLEARLY_DIFFERENT} different references and more"
            tables.append(Table(table.task, title, table.figures, table.note))
    for table in tables:
        print(f"{name}, {table.task}: {table.title}")
        for figure in table.figures:
            print(f"  {figure.name:34} {figure_text(figure):>28}  n {figure.number:,}")
    found: dict[str, Any] = {"tables": [table.to_json() for table in tables]}
    if boxes := scored_boxes(answers):
        scored[name] = boxes
        found["calibration_error"] = round(expected_calibration_error(boxes), 4)
        print(f"  calibration error (ECE) {found['calibration_error']:.3f}  n {len(boxes):,}")
    return found


def has_different_references(answer: Answered) -> bool:
    """Whether it is a caption of an image that was described in clearly different words."""
    words = {caption_words(text) for text in answer.references}
    return answer.task == "caption" and len(words) >= CLEARLY_DIFFERENT


def samples(
    args: argparse.Namespace, path: str, kind: str, tasks: Sequence[TaskName], most: int = 0
) -> list[Sample]:
    """The questions about a set; of images with up to `most` objects (0: any number)."""
    items = [
        item
        for item in read_annotations(args.data / path, kind, args.split)
        if not most or len(item.objects) <= most
    ]
    return build_samples(DataSet(path, tuple(evenly(items, args.limit))), tasks)


def boxes(args: argparse.Namespace, tasks: Sequence[TaskName], most: int = 0) -> Iterator[Sample]:
    """The questions about all sets of boxes; names of images hold the set's."""
    for file in sorted((args.data / "boxes").glob("*/annotations.json")):
        try:
            found = samples(
                args, f"boxes/{file.parent.name}/annotations.json", "boxes", tasks, most
            )
        except DataError:  # a small set may have no image of the split
            continue
        yield from (sample.named(file.parent.name) for sample in found)


def synthetic(args: argparse.Namespace) -> list[Sample]:
    """Scenes of seeds that are never trained on."""
    number = args.limit or args.scenes
    drawn = map(render_scene, itertools.islice(itertools.count(RESERVED_SEEDS), number))
    items = tuple(
        Annotation(
            (np.asarray(scene.image),),
            phrases=tuple(scene.phrases),
            absent=tuple(scene.absent),
            questions=tuple(scene.questions),
        )
        for scene in drawn
    )
    return build_samples(DataSet("scene", items), ("ground", "absent", "ask"))


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "captions": lambda args: samples(args, "rsicd/captions.json", "captions", ["caption"]),
    "ucm": lambda args: samples(args, "scenes/ucm/annotations.json", "scenes", ["caption"]),
    "boxes": lambda args: boxes(args, ["ground", "absent"]),
    "objects": lambda args: boxes(args, ["identify", "detect"], OBJECTS_PER_IMAGE),
    "synthetic": synthetic,
    "classes": lambda args: samples(args, "rsicd/captions.json", "captions", ["classify"]),
    "drone": lambda args: samples(
        args, "drone/annotations.json", "flown", ["caption", "ask", "absent"]
    ),
}

if __name__ == "__main__":
    main()
