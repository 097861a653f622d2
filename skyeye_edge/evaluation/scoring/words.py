"""Short answers: questions by their type, scene classes, and names of what a box shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.answers import plain_answer
from skyeye_edge.evaluation.bootstrap import Drawing, Numbers, bootstrap
from skyeye_edge.evaluation.figures import Figure, Table
from skyeye_edge.evaluation.grounding import SIZES, size_name
from skyeye_edge.evaluation.scoring.grounding import shares

LEFT_OUT = ("count", "area")  # of the paper's average: its answers are numbers
_FIRST = ("presence", "comparison", "rural/urban", "count", "area")  # RSVQA's, in this order
_PRESENCE, _COMPARISON = ("is there", "are there", "is a", "is an"), ("more ", "less ", "fewer ")


def score_ask(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """Right answers per type of question, all of them, and the paper's average.

    Args:
        answers: of the task "ask", at least one.
        drawing: how intervals are made.
    """
    kinds = [answer.kind or kind_of(answer.asked, answer.references[0]) for answer in answers]
    names = [kind for kind in _FIRST if kind in kinds] + sorted({*kinds} - {*_FIRST})
    right = np.asarray([[float(is_right(answer)), 1.0] for answer in answers])
    figures = []
    for name in names:
        own = [place for place, kind in enumerate(kinds) if kind == name]
        figures.append(shares(name, [answers[place] for place in own], right[own], drawing))
    averaged = [name for name in names if name not in LEFT_OUT]
    if len(averaged) > 1:
        figures.append(_average(answers, kinds, averaged, right, drawing))
    figures.append(shares("all questions", answers, right, drawing))
    note = (
        "exact match of the words, lower case; average: unweighted mean over the types without "
        "count and area, as SkyEyeGPT's tables have it"
    )
    return [Table("ask", "questions", tuple(figures), note)]


def score_classify(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """How many images got their own class."""
    right = [[float(is_right(answer)), 1.0] for answer in answers]
    figures = [shares("accuracy", answers, right, drawing)]
    for name in sorted({answer.references[0] for answer in answers}):
        own = [place for place, each in enumerate(answers) if each.references[0] == name]
        some, parts = [answers[place] for place in own], [right[place] for place in own]
        figures.append(shares(f"class {name}", some, parts, drawing))
    return [Table("classify", "scene classes", tuple(figures), "the class among all of the set")]


def score_identify(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """How many boxes got their own label, by size."""
    right = [[float(is_right(answer)), 1.0] for answer in answers]
    figures = [shares("accuracy", answers, right, drawing)]
    for name in SIZES:
        own = [
            place
            for place, each in enumerate(answers)
            if each.size and size_name(each.truth[0], each.size) == name
        ]
        if own:
            some, parts = [answers[place] for place in own], [right[place] for place in own]
            figures.append(shares(f"{name} objects", some, parts, drawing))
    return [Table("identify", "labels of boxes", tuple(figures), "the label, letter by letter")]


def is_right(answer: Answered) -> bool:
    """Whether the words are those of a right answer (MiniGPT-v2, eval_vqa.py: lower case)."""
    said = plain_answer(answer.said)
    return any(said == plain_answer(words) for words in answer.references)


def plain_kind(kind: str) -> str:
    """The type of a question in our words: RSVQA's own files say `comp` and `rural_urban`."""
    names = {"comp": "comparison", "rural_urban": "rural/urban"}
    return names.get(kind.strip().lower(), kind.strip().lower())


def kind_of(question: str, answer: str) -> str:
    """The type of a question whose set does not state it, by RSVQA's patterns and the answer."""
    asked, right = plain_answer(question), plain_answer(answer)
    if "rural" in asked and "urban" in asked:
        return "rural/urban"
    if any(word in asked for word in _COMPARISON) and right in ("yes", "no"):
        return "comparison"
    if "area" in asked and "what" in asked:
        return "area"
    if asked.startswith(("how many", "what is the number", "what is the amount")):
        return "count"
    if right in ("yes", "no"):
        return "presence" if asked.startswith(_PRESENCE) else "yes or no"
    return "number" if right.isdigit() else "words"


def _average(
    answers: Sequence[Answered],
    kinds: Sequence[str],
    names: Sequence[str],
    right: Numbers,
    drawing: Drawing,
) -> Figure:
    own = [place for place, kind in enumerate(kinds) if kind in names]
    parts = np.zeros((len(own), 2 * len(names)))
    for row, place in enumerate(own):
        column = 2 * names.index(kinds[place])
        parts[row, column : column + 2] = right[place]

    def mean(sums: Numbers) -> Numbers:
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = sums[..., 0::2] / sums[..., 1::2]
        return np.asarray(100 * rates.mean(axis=-1, keepdims=True))

    images = [answers[place].image for place in own]
    (interval,) = bootstrap(images, parts, mean, drawing)
    value = float(mean(parts.sum(axis=0))[0])
    note = f"of {', '.join(names)}"
    return Figure("average", value, len(own), interval, note)
