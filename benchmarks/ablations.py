"""What stages, identifiers, rank and aligner are worth, at a size that runs here.

    python benchmarks/ablations.py DATA -o WORK            every run, then the table
    python benchmarks/ablations.py DATA -o WORK --only rank

Each run starts from one checkpoint and learns the same small mixture: captions of UCM, boxes of
three sets that skyeye-tiny 1.0.0 never saw, sentences and questions about drone frames. It is
scored on their validation images. DATA holds scenes/ucm/, boxes/ and drone/. A run that is there
already is not repeated, so the command goes on where it was stopped. The last line of stdout is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from skyeye_edge.evaluation import Answered, Drawing, TaskName, read_answers, record_answers
from skyeye_edge.evaluation.bootstrap import bootstrap
from skyeye_edge.evaluation.scoring import sample_scores
from skyeye_edge.training import CheckpointPredictor, merge, train
from skyeye_edge.training.data.benchmark import Benchmark
from skyeye_edge.training.data.exam import read_samples

HERE = Path(__file__).resolve().parent.parent
STEPS, BATCH = 80, 16
SETS = {  # name: format, path, kinds of questions
    "ucm": ("scenes", "scenes/ucm/annotations.json", {"caption": 1}),
    "ships": ("boxes", "boxes/aerial_ships/annotations.json", {"ground": 2, "ask": 1}),
    "courts": ("boxes", "boxes/tennis_courts/annotations.json", {"ground": 2, "ask": 1}),
    "wells": ("boxes", "boxes/oil_wells/annotations.json", {"ground": 2, "ask": 1}),
    "drone": ("flown", "drone/annotations.json", {"caption": 1, "ask": 3}),
}
TASKS: dict[TaskName, str] = {
    "caption": "captions, CIDEr-D",
    "ground": "boxes, Acc@0.5",
    "ask": "questions, right",
}
SCORED: dict[TaskName, tuple[str, ...]] = {
    "caption": ("ucm",),
    "ground": ("ships", "courts", "wells"),
    "ask": ("drone",),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A row of the table: what differs from the first one."""

    group: str
    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    stages: str = "two"  # or one, or alone: a model for each task
    rank: int = 64


RUNS = (
    Run("stages", "two stages, identifiers, rank 64"),
    Run("stages", "one stage", stages="one"),
    Run("stages", "a model for each task", stages="alone"),
    Run("identifiers", "no identifiers", {"instructions": "minigptv2-plain"}),
    Run("rank", "rank 16", rank=16),
    Run("rank", "rank 8", rank=8),
    Run("aligner", "fresh: linear", {"aligner": {"kind": "linear"}}),
    Run("aligner", "fresh: two layers", {"aligner": {"kind": "mlp", "layers": 2}}),
    Run("aligner", "fresh: Q-Former", {"aligner": {"kind": "qformer", "layers": 2}}),
)


def main() -> None:
    """Train, score, print a table, and one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="WORK")
    parser.add_argument(
        "--base", type=Path, default=HERE / "checkpoints" / "skyeye-tiny", metavar="CHECKPOINT"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of a run")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="default: all cores")
    parser.add_argument("--only", choices=sorted({run.group for run in RUNS}), metavar="GROUP")
    args = parser.parse_args()
    rows = []
    for run in RUNS:
        if args.only in (None, run.group):
            answers = [list(answered(run, seed, args)) for seed in range(args.seeds)]
            rows.append((run, scores_of(answers)))
    print(f"| | {' | '.join(TASKS.values())} |\n|---|{'---:|' * len(TASKS)}")
    for run, scores in rows:
        cells = [cell(*scores[task]) for task in TASKS]
        print(f"| {run.name} | {' | '.join(cells)} |")
    found = [{"group": run.group, "name": run.name, **scores} for run, scores in rows]
    print(json.dumps({"benchmark": "ablations", "steps": args.steps, "rows": found}))


def cell(value: float, low: float, high: float) -> str:
    """A figure and its interval."""
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def answered(run: Run, seed: int, args: argparse.Namespace) -> Iterator[Answered]:
    """What the model or models of a run say about the validation images."""
    if run.stages != "alone":
        yield from said_by(run, seed, args, tuple(TASKS))
        return
    for task in TASKS:
        yield from said_by(run, seed, args, (task,))


def said_by(
    run: Run, seed: int, args: argparse.Namespace, tasks: tuple[TaskName, ...]
) -> list[Answered]:
    """The answers of one model, from its file if it is there."""
    work = args.output / f"{run.name} {'+'.join(tasks)} {seed}".replace(":", "").replace(" ", "-")
    file = work / "answers.jsonl"
    if not file.exists():
        began = time.monotonic()
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / "recipe.yaml").write_text(yaml.safe_dump(recipe_of(run, seed, args, tasks)))
        checkpoint = merge(train(work / "recipe.yaml"), work / "checkpoint").target
        trained = time.monotonic() - began
        predictor = CheckpointPredictor(checkpoint)
        record_answers(predictor, list(samples(args.data, tasks)), work / "draft.jsonl", {})
        shutil.rmtree(checkpoint)
        (work / "draft.jsonl").replace(file)
        scored = time.monotonic() - began - trained
        print(f"{work.name}: {trained:.0f} s, scored in {scored:.0f} s", file=sys.stderr)
    return list(read_answers(file).answers)


def samples(data: Path, tasks: tuple[TaskName, ...]) -> Iterator[Any]:
    """The questions about validation images."""
    for task in tasks:
        for name in SCORED[task]:
            kind, path, _ = SETS[name]
            wanted = Benchmark(data / path, format=kind, split="val", tasks=(task,))
            yield from read_samples(wanted)


def recipe_of(
    run: Run, seed: int, args: argparse.Namespace, tasks: tuple[TaskName, ...]
) -> dict[str, Any]:
    """The recipe of one training; a model for one task gets a third of the steps."""
    names = [name for name in SETS if any(task in SETS[name][2] for task in tasks)]
    steps = args.steps * len(tasks) // len(TASKS)
    stage = {"batch": BATCH, "learning_rate": 5e-4, "last_learning_rate": 5e-5, "warm_up": 10}
    single = {**stage, "name": "single-tasks", "steps": steps * 2 // 3}
    talk = {**stage, "name": "conversations", "steps": steps // 3, "conversations": 0.6}
    mixed = {**stage, "name": "all", "steps": steps, "conversations": 0.2}
    alone = {**stage, "name": "alone", "steps": steps}
    return {
        "name": "ablation",
        "base": str(args.base.absolute()),
        "run": "run",
        "seed": seed,
        "scored": 0,
        "threads": args.threads,
        "lora": {"rank": run.rank, "alpha": run.rank, "targets": ["all-linear"]},
        "data": [
            {
                "name": name,
                "format": SETS[name][0],
                "path": str((args.data / SETS[name][1]).absolute()),
                "augment": True,
                "tasks": {k: v for k, v in SETS[name][2].items() if k in tasks},
                "ratio": 2.0 if name in ("ucm", "drone") else 1.0,
            }
            for name in names
        ],
        "stages": {"two": [single, talk], "one": [mixed], "alone": [alone]}[run.stages],
        **run.recipe,
    }


def scores_of(answers: list[list[Answered]]) -> dict[str, tuple[float, float, float]]:
    """Mean over seeds and images of each task's score x 100, with its 95 % interval."""
    found: dict[str, tuple[float, float, float]] = {}
    for task in TASKS:
        images, values = [], []
        for said in answers:
            own = [each for each in said if each.task == task]
            scores = sample_scores(own)
            images += [each.image for each in own]
            values += [score_of(task, scores[each.key]) for each in own]
        parts = np.stack([values, np.ones(len(values))], axis=1)
        (interval,) = bootstrap(
            images, parts, lambda sums: sums[..., :1] / sums[..., 1:], Drawing()
        )
        found[task] = (float(np.mean(values)), *(interval or (0.0, 0.0)))
    return found


def mean(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(..., sum and number) to (..., 1)."""
    return sums[..., :1] / sums[..., 1:]


def score_of(task: str, scores: Mapping[str, float]) -> float:
    """One answer's score x 100."""
    if task == "caption":
        return scores["CIDEr"]
    return 100.0 * (scores["IoU"] >= 0.5 if task == "ground" else scores["right"])


if __name__ == "__main__":
    main()
