"""Short answers: questions about images, and classes of whole images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from skyeye_edge.core.results import ClassifyResult, TextResult
from skyeye_edge.core.tasks import Ask, Classify
from skyeye_edge.evaluation.predictor import Picture, Predictor
from skyeye_edge.evaluation.shares import Share, share


@dataclass(frozen=True, slots=True, eq=False)
class VqaItem:
    """An image with questions and their right answers."""

    image: Picture
    questions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class VqaReport:
    """Exact matches, lower-cased (MiniGPT-v2, eval_vqa.py)."""

    all_kinds: Share
    by_kind: dict[str, Share]  # by the right answer: "yes or no", "number", "words"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        kinds = {name: found.to_json() for name, found in self.by_kind.items()}
        return {"all_kinds": self.all_kinds.to_json(), **kinds}


@dataclass(frozen=True, slots=True, eq=False)
class ClassItem:
    """An image with its class."""

    image: Picture
    label: str


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How many images got their own class."""

    all_classes: Share
    by_class: dict[str, Share]

    def to_json(self) -> dict[str, Any]:
        """Plain values; of each class the rate only."""
        rates = {name: round(found.rate, 3) for name, found in self.by_class.items()}
        return {"all_classes": self.all_classes.to_json(), "by_class": rates}


def evaluate_vqa(predictor: Predictor, items: Iterable[VqaItem]) -> VqaReport:
    """Ask every question of every image."""
    seen: list[tuple[str, bool]] = []
    for item in items:
        results = predictor.run(item.image, [Ask(question) for question, _ in item.questions])
        for (_, answer), result in zip(item.questions, results, strict=True):
            said = result.text if isinstance(result, TextResult) else ""
            seen.append((_kind(answer), plain_answer(said) == plain_answer(answer)))
    by_kind = {
        name: share(right for kind, right in seen if kind == name)
        for name in sorted({kind for kind, _ in seen})
    }
    return VqaReport(share(right for _, right in seen), by_kind)


def evaluate_classes(
    predictor: Predictor, items: Iterable[ClassItem], names: Iterable[str]
) -> ClassReport:
    """Ask which of `names` every image shows."""
    task = Classify(tuple(names))
    seen: list[tuple[str, bool]] = []
    for item in items:
        result = predictor.run(item.image, [task])[0]
        right = isinstance(result, ClassifyResult) and result.label == item.label
        seen.append((item.label, right))
    by_class = {
        name: share(right for label, right in seen if label == name)
        for name in sorted({label for label, _ in seen})
    }
    return ClassReport(share(right for _, right in seen), by_class)


def plain_answer(answer: str) -> str:
    """Lower case, no full stop at the end, one space between words."""
    return " ".join(answer.lower().rstrip(".").split())


def _kind(answer: str) -> str:
    if plain_answer(answer) in ("yes", "no"):
        return "yes or no"
    return "number" if plain_answer(answer).isdigit() else "words"
