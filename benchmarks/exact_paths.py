"""Whether a fast path changes an answer: all of them on against all off, over real images.

    python benchmarks/exact_paths.py FOLDER [--bundle BUNDLE] [--count 300] [--strict]

Both sides are asked the same about every image: each task once, and three turns of a chat. The fast
side gets them all at once, in an order of chance, some of them cancelled; the plain side one after
the other. Compared are tokens and, bit for bit, the logits they were chosen from. Exit code 1 if a
token differs. The ratio is the share of equal answers.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import skyeye_edge as sky
from measure import read_images
from skyeye_edge.core.prompt import Turn
from skyeye_edge.core.reply import Reply
from skyeye_edge.runtime import versions
from skyeye_edge.runtime.model import FastPath
from skyeye_edge.runtime.question import Answer, Question

FAST_PATHS: tuple[FastPath, ...] = ("overlap", "batch", "drafts")
TASKS: tuple[sky.Task, ...] = (
    sky.Caption(),
    sky.Describe(),
    sky.Describe(boxes=True),
    sky.Classify(("harbour", "farmland", "forest", "airport")),
    sky.Ground("a car"),
    sky.Ground("the largest building"),
    sky.Detect("ship"),
    sky.Identify((8, 8, 60, 50)),
    sky.Ask("is there water?"),
)
CHAT: tuple[Turn, ...] = ((sky.Caption(), "a road beside a field"), (sky.Ask("any cars?"), "no"))


def questions(frame: sky.Frame) -> list[Question]:
    """All that is asked about a frame."""
    asked = [Question((frame,), (task,), max_tokens=48, keep_logits=True) for task in TASKS]
    several = Question((frame,), TASKS[:5], max_tokens=48, keep_logits=True)
    chat = Question(
        (frame,), (sky.Ask("what is it?"),), history=CHAT, max_tokens=48, keep_logits=True
    )
    return [*asked, several, chat]


def answer_at_once(model: sky.Model, asked: Sequence[Question], seed: int) -> list[Answer]:
    """Answers in the order of the questions, which are asked in another, with others between."""
    chance = np.random.default_rng(seed)
    waiting = {}
    for number in map(int, chance.permutation(len(asked))):
        if chance.random() < 0.2:
            model.submit(asked[number]).cancel()
        waiting[number] = model.submit(asked[number], client=number % 3)
    return [waiting[number].result() for number in range(len(asked))]


def compare(fast: Answer, plain: Answer, counts: Counter[str]) -> None:
    """Count replies, and those of which the tokens or a bit of the logits differ."""
    for ours, wanted in zip(fast.replies, plain.replies, strict=True):
        counts["answers"] += 1
        counts["tokens_differ"] += ours.ids != wanted.ids
        counts["bits_differ"] += kept(ours) != kept(wanted)


def kept(reply: Reply) -> bytes:
    """Every logit that a token was chosen from."""
    return b"".join(row.tobytes() for row in reply.logits or () if row is not None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts, and the figures as one JSON object in the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of images")
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--count", type=int, default=300, help="images to ask about")
    parser.add_argument("--language", default="auto", help="a language variant of the bundle")
    parser.add_argument("--strict", action="store_true", help="in the strict setting")
    args = parser.parse_args(arguments)
    frames = read_images(args.folder, args.count)
    counts: Counter[str] = Counter(answers=0, tokens_differ=0, bits_differ=0)
    options = {"language": args.language, "strict": args.strict}
    with (
        sky.load(args.bundle, **options) as fast,
        sky.load(args.bundle, **options, without=FAST_PATHS) as plain,
    ):
        for number, frame in enumerate(frames, 1):
            asked = questions(frame)
            answers = answer_at_once(fast, asked, number)
            for question, answer in zip(asked, answers, strict=True):
                compare(answer, plain.answer(question), counts)
            if number % 25 == 0:
                print(f"{number:5} images: {dict(counts)}", file=sys.stderr)
        model = fast.description
    print(f"{len(frames)} images, {counts['answers']} answers")
    print(f"  other tokens: {counts['tokens_differ']}, other bits: {counts['bits_differ']}")
    figures = {
        "benchmark": "exact_paths",
        "machine": platform.machine(),
        "versions": versions(),
        "model": model,
        "strict": args.strict,
        "images": len(frames),
        **counts,
        "ratio": 1 - counts["tokens_differ"] / max(1, counts["answers"]),
    }
    print(json.dumps(figures))
    return int(counts["tokens_differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
