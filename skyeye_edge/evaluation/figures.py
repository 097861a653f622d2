"""What scoring gives: figures with the interval and number of samples behind them, in tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, x 100 as papers print it."""

    name: str
    value: float | None  # None: left out, and `note` says why
    number: int  # samples behind it
    interval: Interval | None = None  # 95 %
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)
            object.__setattr__(self, "interval", None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, to four digits."""
        values: dict[str, Any] = {"name": self.name, "value": _rounded(self.value)}
        values["n"] = self.number
        if self.interval is not None:
            values["interval"] = [_rounded(edge) for edge in self.interval]
        return values | ({"note": self.note} if self.note else {})


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of one task, counted by one convention."""

    task: str
    title: str
    figures: tuple[Figure, ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = [figure.to_json() for figure in self.figures]
        return {"task": self.task, "title": self.title, "note": self.note, "figures": figures}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
