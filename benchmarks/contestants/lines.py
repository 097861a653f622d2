"""How contestants are asked: a line of JSON in, a line of JSON out; standard library only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_answers = sys.stdout


def keep_stdout() -> None:
    """First of all: from now on nothing but `answer` writes to stdout, libraries go to stderr."""
    global _answers
    _answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def questions() -> Iterator[dict[str, Any]]:
    """What is asked, until there is no more."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(values: Mapping[str, Any]) -> None:
    """A line back."""
    _answers.write(json.dumps(values) + "\n")
    _answers.flush()
