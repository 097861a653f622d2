"""ROUGE-L of one caption, without pycocoevalcap: a quick look while training needs no more."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RECALL_WEIGHT = 1.2  # beta of ROUGE-L, as pycocoevalcap sets it
_PUNCTUATION = re.compile(r"[^\w\s]|_")


def rouge_l(text: str, references: Sequence[str]) -> float:
    """ROUGE-L of one caption, 0..1, on plain words; unlike CIDEr-D it says something of one image.

    Source: Lin 2004, as pycocoevalcap computes it: best precision and recall of the references.
    """
    said = plain_words(text).split()
    known = [words for reference in references if (words := plain_words(reference).split())]
    if not said or not known:
        return 0.0
    common = [_common(said, words) for words in known]
    precision = max(common) / len(said)
    recall = max(length / len(words) for length, words in zip(common, known, strict=True))
    if not precision:
        return 0.0
    weight = _RECALL_WEIGHT**2
    return (1 + weight) * precision * recall / (recall + weight * precision)


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    before = [0] * (len(theirs) + 1)
    for word in ours:
        row = [0]
        for place, other in enumerate(theirs):
            row.append(before[place] + 1 if word == other else max(before[place + 1], row[-1]))
        before = row
    return before[-1]


def plain_words(text: str) -> str:
    """Lower case, punctuation dropped, one space between words."""
    return " ".join(_PUNCTUATION.sub(" ", text.lower()).split())
