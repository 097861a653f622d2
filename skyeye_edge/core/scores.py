"""What the score of a box means to a model, and from which score on a box counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import InputError

Table = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """How a model scores boxes; the defaults are those of a model that says nothing about it."""

    min_score: float = 0.0  # a box below is not returned
    calibration: Table = ()  # (raw score, probability of a right box), rising; (): they are equal
    found_from: float | None = None
    """Operating point: presence from which a box is answered; None: the likeliest token decides."""

    def __post_init__(self) -> None:
        check_min_score(self.min_score)
        _check_table(self.calibration)
        if self.found_from is not None and not 0 <= self.found_from < 1:
            raise InputError(f"operating_point: found {self.found_from} is not from 0 to below 1")

    def calibrated(self, raw: float) -> float:
        """The score that is shown: linear between the points of the table, level outside."""
        if not self.calibration:
            return raw
        raws, scores = zip(*self.calibration, strict=True)
        return float(np.interp(raw, raws, scores))

    def to_json(self) -> dict[str, Any]:
        """The keys of a manifest or `skyeye.json`; what is not stated is left out."""
        values: dict[str, Any] = {}
        if self.calibration:
            values["calibration"] = {"box": [list(point) for point in self.calibration]}
        if self.min_score:
            values["min_score"] = {"box": self.min_score}
        if self.found_from is not None:
            values["operating_point"] = {"found": self.found_from}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScoreSpec:
        """The reverse of `to_json`; other keys are ignored.

        Raises:
            InputError: a value is out of range.
        """
        found_from = values.get("operating_point", {}).get("found")
        return cls(
            min_score=float(values.get("min_score", {}).get("box", 0.0)),
            calibration=tuple(
                (float(raw), float(score))
                for raw, score in values.get("calibration", {}).get("box", ())
            ),
            found_from=None if found_from is None else float(found_from),
        )


def check_min_score(min_score: float | None) -> None:
    """Refuse what no score could be compared with; None is fine.

    Raises:
        InputError: not a number from 0 to 1.
    """
    if min_score is None:
        return
    check_number(min_score, "min_score", 0, 1)


def _check_table(table: Table) -> None:
    if not all(0 <= number <= 1 for point in table for number in point):
        raise InputError("calibration: raw scores and probabilities are from 0 to 1")
    for (raw, score), (next_raw, next_score) in pairwise(table):
        if raw >= next_raw or score > next_score:
            raise InputError(f"calibration: the table does not rise from {raw} to {next_raw}")
