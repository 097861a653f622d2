"""How often something was right, with the interval that a sample of that size allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_NORMAL_95 = 1.959964  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `number`."""

    hits: int
    number: int

    @property
    def rate(self) -> float:
        """Share of hits, 0..1; NaN if nothing was asked."""
        return self.hits / self.number if self.number else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate (Wilson 1927, without continuity correction)."""
        if not self.number:
            return 0.0, 1.0
        z2 = _NORMAL_95**2 / self.number
        middle = (self.rate + z2 / 2) / (1 + z2)
        spread = self.rate * (1 - self.rate) / self.number + z2 / self.number / 4
        half = _NORMAL_95 * math.sqrt(spread) / (1 + z2)
        return max(0.0, middle - half), min(1.0, middle + half)

    def to_json(self) -> dict[str, Any]:
        """Rate and interval to four digits; the rate is None if nothing was asked."""
        low, high = self.interval
        rate = round(self.rate, 4) if self.number else None
        return {"rate": rate, "n": self.number, "interval": [round(low, 4), round(high, 4)]}


def share(right: Iterable[bool]) -> Share:
    """How many of them are True."""
    values = list(right)
    return Share(sum(values), len(values))
