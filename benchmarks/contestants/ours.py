"""Contestant: our runtime, a block of frames at once.

Questions: {"images": [path, ...], "tasks": [[kind, words], ...], "limit": tokens}. With `--apart`
every task is a question of its own about a picture that differs by one pixel, and waits for the one
before: what asking costs when nothing is shared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import skyeye_edge as sky
from lines import answer, keep_stdout, questions
from skyeye_edge.core.tasks import Task
from skyeye_edge.runtime.question import Answer, Question

STEPS = ("preprocess", "encode", "prefill", "generate")
KINDS: dict[str, Callable[[str], Task]] = {
    "caption": lambda words: sky.Caption(),
    "ground": sky.Ground,
    "ask": sky.Ask,
}


def main() -> None:
    """Answer until there is no question more."""
    keep_stdout()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--apart", action="store_true")
    args = parser.parse_args()
    with sky.load(args.bundle, threads=args.threads) as model:
        model.warm_up()
        said = model.description
        answer({"ready": f"{said['name']}, {said['vision']}, {said['language']}"})
        for asked in questions():
            tasks = tuple(KINDS[kind](words) for kind, words in asked["tasks"])
            images = [Path(path) for path in asked["images"]]
            ask = ask_apart if args.apart else ask_together
            answers = list(ask(model, images, tasks, asked["limit"]))
            steps = {step: sum(each.timing_ms[step] for each in answers) for step in STEPS}
            counts = [len(reply.ids) for each in answers for reply in each.replies]
            shape = (len(images), len(tasks))
            tokens = np.array(counts).reshape(shape).tolist()
            answer({"steps_ms": steps, "tokens": tokens})


def read(path: Path) -> sky.Frame:
    """A picture, decoded."""
    with Image.open(path) as image:
        return sky.Frame(np.asarray(image.convert("RGB")))


def ask_together(
    model: sky.Model, images: Sequence[Path], tasks: tuple[Task, ...], limit: int
) -> Iterator[Answer]:
    """All frames are handed over, as a stream does, and the answers come in order."""
    asked = [model.submit(Question((read(path),), tasks, max_tokens=limit)) for path in images]
    for each in asked:
        yield each.result()


def ask_apart(
    model: sky.Model, images: Sequence[Path], tasks: tuple[Task, ...], limit: int
) -> Iterator[Answer]:
    """One task after the other, each about a picture of its own."""
    for path in images:
        for number, task in enumerate(tasks):
            rgb = read(path).rgb.copy()
            rgb[: rgb.shape[0] // 8, 0] = number
            yield model.answer(Question((sky.Frame(rgb),), (task,), max_tokens=limit))


if __name__ == "__main__":
    main()
