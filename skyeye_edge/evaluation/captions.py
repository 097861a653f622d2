"""CIDEr-D and BLEU of captions, as pycocoevalcap computes them, on plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.results import TextResult
from skyeye_edge.core.tasks import Caption
from skyeye_edge.evaluation.predictor import Picture, Predictor

_RECALL_WEIGHT = 1.2  # beta of ROUGE-L, as pycocoevalcap sets it
_PUNCTUATION = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True, slots=True, eq=False)
class CaptionItem:
    """An image with the sentences that people wrote about it."""

    image: Picture
    references: tuple[str, ...]

    @property
    def different(self) -> int:
        """How many different sentences there are, compared as plain words."""
        return len({plain_words(text) for text in self.references})


@dataclass(frozen=True, slots=True)
class CaptionReport:
    """Scores of all captions; x 100, as papers print them."""

    number: int
    cider: float  # CIDEr-D
    bleu4: float
    different: int  # captions that are not equal to another
    cut: int  # answers that the token limit ended, or that could not be read

    def to_json(self) -> dict[str, Any]:
        """Plain values, scores to two digits."""
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}


def evaluate_captions(predictor: Predictor, items: Iterable[CaptionItem]) -> CaptionReport:
    """Ask for a caption of every image and score all of them together.

    Raises:
        InputError: there is no item.
    """
    items = list(items)
    return score_captions(caption_all(predictor, items), items)


def caption_all(predictor: Predictor, items: Iterable[CaptionItem]) -> list[TextResult]:
    """A caption of every image, in order; for reports over several selections of them."""
    results = [predictor.run(item.image, [Caption()])[0] for item in items]
    return [result for result in results if isinstance(result, TextResult)]


def score_captions(results: Sequence[TextResult], items: Sequence[CaptionItem]) -> CaptionReport:
    """Scores of given captions; document frequencies come from the references of these items.

    Raises:
        InputError: there is no item, or the two differ in length.
    """
    if not items or len(results) != len(items):
        raise InputError(f"{len(results)} captions for {len(items)} images: nothing to score")
    with needs("evaluation"):
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
    said = {number: [plain_words(result.text)] for number, result in enumerate(results)}
    known = {
        number: [plain_words(text) for text in item.references] for number, item in enumerate(items)
    }
    cider, _ = Cider().compute_score(known, said)
    bleu, _ = Bleu(4).compute_score(known, said, verbose=0)
    return CaptionReport(
        number=len(items),
        cider=100 * float(cider),
        bleu4=100 * float(bleu[3]),
        different=len({words[0] for words in said.values()}),
        cut=sum(result.outcome != "text" for result in results),
    )


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


def with_references(items: Iterable[CaptionItem], fewest: int) -> list[int]:
    """Places of the items that have at least `fewest` different references."""
    return [place for place, item in enumerate(items) if item.different >= fewest]
