"""What the score of a box means to a model, and from which score on a box counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skyeye_edge.core.arguments import check_number


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """How a model scores boxes; the defaults are those of a model that says nothing about it."""

    min_score: float = 0.0  # a box below is not returned

    def __post_init__(self) -> None:
        check_min_score(self.min_score)

    def to_json(self) -> dict[str, Any]:
        """The keys of a manifest or `skyeye.json`; what is not stated is left out."""
        return {"min_score": {"box": self.min_score}} if self.min_score else {}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreSpec:
        """The reverse of `to_json`; other keys are ignored.

        Raises:
            InputError: a value is out of range.
        """
        return cls(min_score=float(values.get("min_score", {}).get("box", 0.0)))


def check_min_score(min_score: float | None) -> None:
    """Refuse what no score could be compared with; None is fine.

    Raises:
        InputError: not a number from 0 to 1.
    """
    if min_score is None:
        return
    check_number(min_score, "min_score", 0, 1)
