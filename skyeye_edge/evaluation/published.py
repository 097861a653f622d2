"""What others have published about the benchmarks that we measure: `assets/published.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import InputError

_FILE = Path(__file__).resolve().parent.parent / "assets" / "published.json"


@dataclass(frozen=True, slots=True)
class Published:
    """A row of somebody's table."""

    benchmark: str
    split: str
    task: str  # "caption", "ground" or "ask"
    title: str  # of captions, the table of ours that it is to be held against; else ""
    method: str
    figures: Mapping[str, float]  # names as ours
    source: str
    caveats: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "benchmark": self.benchmark,
            "split": self.split,
            "task": self.task,
            "title": self.title,
            "method": self.method,
            "figures": dict(self.figures),
            "source": self.source,
            "caveats": self.caveats,
        }


@cache
def published_rows() -> tuple[Published, ...]:
    """All rows of the packaged table."""
    rows = json.loads(_FILE.read_text("utf-8"))["rows"]
    return tuple(Published(**{"title": "", **row}) for row in rows)


def published_about(benchmark: str) -> tuple[Published, ...]:
    """The rows about a benchmark, whatever the case of its name; none if `benchmark` is empty.

    Raises:
        InputError: there are none; the message names what there is.
    """
    if not benchmark:
        return ()
    found = tuple(row for row in published_rows() if _plain(row.benchmark) == _plain(benchmark))
    if not found:
        known = ", ".join(sorted({row.benchmark for row in published_rows()}))
        raise InputError(f"no published figures about {benchmark!r}; there are some about {known}")
    return found


def _plain(name: str) -> str:
    return "".join(mark for mark in name.casefold() if mark.isalnum())
