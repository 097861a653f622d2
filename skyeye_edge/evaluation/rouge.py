"""ROUGE-L: pycocoevalcap's number without its table, so that long captions take no minutes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RECALL_WEIGHT = 1.2  # beta of ROUGE-L, as pycocoevalcap sets it
_PUNCTUATION = re.compile(r"[^\w\s]|_")


def rouge_l(text: str, references: Sequence[str]) -> float:
    """ROUGE-L of one caption, 0..1, on plain words; unlike CIDEr-D it tells of one image."""
    said = plain_words(text)
    known = [words for reference in references if (words := plain_words(reference))]
    return rouge_of_words(said, known) if said and known else 0.0


def rouge_of_words(said: str, known: Sequence[str]) -> float:
    """ROUGE-L of a caption, 0..1: best precision and recall of the references (Lin 2004).

    Args:
        said: words with one space between them.
        known: the same of every reference, at least one; without words it counts as one empty one,
            as in pycocoevalcap.
    """
    ours = said.split(" ")
    theirs = [words.split(" ") for words in known]
    common = [_common(ours, words) for words in theirs]
    precision = max(common) / len(ours)
    recall = max(length / len(words) for length, words in zip(common, theirs, strict=True))
    if not precision:
        return 0.0
    weight = _RECALL_WEIGHT**2
    return (1 + weight) * precision * recall / (recall + weight * precision)


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table in one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(ours)) - 1
    row = every
    for word in theirs:
        found = row & places.get(word, 0)
        row = (row + found | row - found) & every
    return len(ours) - row.bit_count()


def plain_words(text: str) -> str:
    """Lower case, punctuation dropped, one space between words."""
    return " ".join(_PUNCTUATION.sub(" ", text.lower()).split())
