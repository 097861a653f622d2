"""BLEU, METEOR, ROUGE-L and CIDEr-D of captions: pycocoevalcap's own numbers, with intervals.

Twice: over words, and over characters as if each were a word. SkyEyeGPT's rows for captions (and
those of the models that its authors ran again) look like the second: Shikra and MiniGPT-v2 get a
BLEU-1 of 81 to 83 on three sets beside a BLEU-4 of 34 to 40, which no words give.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skyeye_edge.core.errors import SkyEyeError, needs
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing, Numbers, bootstrap
from skyeye_edge.evaluation.figures import Figure, Table
from skyeye_edge.evaluation.rouge import rouge_of_words
from skyeye_edge.evaluation.words import caption_characters, caption_words

_GRAMS = 4
_METEOR_COUNTS = 23
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # METEOR 1.5, English
_STAGE_WEIGHTS = (1.0, 0.6, 0.8, 0.6)
_NO_JAVA = (
    "left out: METEOR needs Java 8 or newer and 2 GB of memory, and `java` is not there or does "
    "not run it"
)
_LEVELS: tuple[tuple[str, Callable[[str], str], str], ...] = (
    ("word level", caption_words, "PTB tokens, lower case, no punctuation (pycocoevalcap)"),
    (
        "character level",
        caption_characters,
        "every character of these tokens counts as a word; SkyEyeGPT's own rows seem to be made "
        "this way, and are to be compared with this table only",
    ),
)

Sentences = dict[str, list[str]]  # by key of the answer


def score_captions(answers: Sequence[Answered], drawing: Drawing) -> list[Table]:
    """A table per convention; document frequencies of CIDEr come from these references.

    Args:
        answers: of the task "caption", at least one.
        drawing: how intervals are made; CIDEr's keep the document frequencies.
    """
    meteor = open_meteor()
    return [
        Table("caption", title, tuple(_figures(answers, split, meteor, drawing)), note)
        for title, split, note in _LEVELS
    ]


def caption_scores(answers: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """CIDEr-D and ROUGE-L of every caption (x 100), by key, word level."""
    known, said = _sentences(answers, caption_words)
    ciders, rouges = _cider(known, said), _rouge(known, said)
    return {
        key: {"CIDEr": 100 * float(cider), "ROUGE-L": 100 * float(rouge)}
        for key, cider, rouge in zip(known, ciders, rouges, strict=True)
    }


def _figures(
    answers: Sequence[Answered], split: Callable[[str], str], meteor: Any, drawing: Drawing
) -> list[Figure]:
    known, said = _sentences(answers, split)
    images = [answer.image for answer in answers]
    number = len(answers)

    def figures(names: Sequence[str], parts: Any, figure: Callable[[Numbers], Numbers]) -> None:
        values = figure(np.asarray(parts, dtype=np.float64).sum(axis=0))
        intervals = bootstrap(images, parts, figure, drawing)
        for name, value, interval in zip(names, values, intervals, strict=True):
            found.append(Figure(name, float(value), number, interval))

    found: list[Figure] = []
    figures([f"BLEU-{n}" for n in range(1, _GRAMS + 1)], _bleu_parts(known, said), _bleu)
    if meteor is None:
        found.append(Figure("METEOR", None, number, note=_NO_JAVA))
    else:
        figures(["METEOR"], _meteor_parts(meteor, known, said), _meteor)
    figures(["ROUGE-L"], _with_ones(_rouge(known, said)), _mean)
    figures(["CIDEr"], _with_ones(_cider(known, said)), _mean)
    return found


def _sentences(
    answers: Sequence[Answered], split: Callable[[str], str]
) -> tuple[Sentences, Sentences]:
    """Right sentences and said ones, as words with one space between them."""
    known = {answer.key: [split(text) for text in answer.references] for answer in answers}
    return known, {answer.key: [split(answer.said)] for answer in answers}


def _bleu_parts(known: Sentences, said: Sentences) -> Numbers:
    """(n, 10): lengths of caption and closest reference, n-grams written, and of them right."""
    with needs("evaluation"):
        from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    scorer = BleuScorer(n=_GRAMS)
    for key, (words,) in said.items():
        scorer += (words, known[key])
    rows = []
    for counts in scorer.ctest:
        length = counts["testlen"]
        reference = scorer._single_reflen(counts["reflen"], "closest", length)
        rows.append([length, reference, *counts["guess"], *counts["correct"]])
    return np.asarray(rows, dtype=np.float64)


def _bleu(sums: Numbers) -> Numbers:
    """BLEU-1 to 4 of sums (..., 10), with the small numbers by which pycocoevalcap avoids 0 / 0."""
    length, reference = sums[..., 0], sums[..., 1]
    written, right = sums[..., 2 : 2 + _GRAMS], sums[..., 2 + _GRAMS :]
    products = np.cumprod((right + 1e-15) / (written + 1e-9), axis=-1)
    scores = products ** (1 / np.arange(1, _GRAMS + 1))
    ratio = (length + 1e-15) / (reference + 1e-9)
    shortness = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return np.asarray(100 * scores * shortness[..., None])


def open_meteor() -> Any:
    """pycocoevalcap's METEOR, whose Java program ends with it; None where it does not run."""
    if shutil.which("java") is None:
        return None
    with needs("evaluation"):
        from pycocoevalcap.meteor.meteor import Meteor
    meteor = Meteor()
    try:
        runs = len(meteor._stat("a", ["a"]).split()) == _METEOR_COUNTS
    except OSError:  # it has ended at once, for want of memory or of a newer Java
        runs = False
    return meteor if runs else None


def _meteor_parts(meteor: Any, known: Sentences, said: Sentences) -> Numbers:
    """(n, 23): what METEOR 1.5 counts in each sentence."""
    rows = []
    for key, (words,) in said.items():
        references = [_without_bars(each) for each in known[key]]
        counted = meteor._stat(_without_bars(words), references).split()
        if len(counted) != _METEOR_COUNTS:  # Java has ended, and its words are lost
            raise SkyEyeError(f"METEOR ended at {words[:60]!r}; it needs Java 8 or newer and 2 GB")
        rows.append([float(each) for each in counted])
    return np.asarray(rows)


def _without_bars(words: str) -> str:
    """Three bars are what METEOR's protocol parts sentences with."""
    return words.replace("|||", " ")


def _meteor(sums: Numbers) -> Numbers:
    """METEOR 1.5 for English of summed counts (..., 23), as its EVAL computes it.

    Counted are lengths, function words, then matches of each stage (exact, stem, synonym,
    paraphrase) as content and function words of both sides, chunks, and two that nobody uses.
    """
    content, function = _DELTA, 1 - _DELTA
    length, function_words = sums[..., 0:2], sums[..., 2:4]  # of caption and reference
    weighted_length = content * (length - function_words) + function * function_words
    stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)  # stage, kind of word, side
    matches = stages.sum(axis=(-3, -2))
    kinds = np.asarray([content, function])[:, None]
    weighted = (stages * kinds).sum(axis=-2) * np.asarray(_STAGE_WEIGHTS)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis(weighted.sum(axis=-2) / weighted_length, -1, 0)
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        chunks = sums[..., 20]
        whole = (matches == length).all(axis=-1) & (chunks == 1)
        pieces = np.where(whole, 0.0, chunks / matches.mean(axis=-1))
    scores = mean * (1 - _GAMMA * pieces**_BETA)
    return np.asarray(100 * np.nan_to_num(scores))[..., None]


def _rouge(known: Sentences, said: Sentences) -> Numbers:
    return np.asarray([rouge_of_words(words, known[key]) for key, (words,) in said.items()])


def _cider(known: Sentences, said: Sentences) -> Numbers:
    with needs("evaluation"):
        from pycocoevalcap.cider.cider import Cider
    return np.asarray(Cider().compute_score(known, said)[1], dtype=np.float64)


def _with_ones(scores: Numbers) -> Numbers:
    return np.stack([scores, np.ones_like(scores)], axis=1)


def _mean(sums: Numbers) -> Numbers:
    return np.asarray(100 * sums[..., :1] / sums[..., 1:])
