"""Arguments of public calls: the wrong kind is refused by name, with what to give instead.

Python itself would say `TypeError: '<' not supported between ...` somewhere below, or nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import TypeVar

from skyeye_edge.core.errors import InputError

_Value = TypeVar("_Value")


def check_whole(value: object, name: str, least: int = 0) -> None:
    """Refuse what is no whole number from `least` up; numpy's integers are fine."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}: {value!r} is not a whole number from {least} up")


def check_number(
    value: object, name: str, least: float = -math.inf, most: float = math.inf
) -> None:
    """Refuse what is no finite number from `least` to `most`; numpy's numbers are fine."""
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and least <= number <= most:
            return
    low = f" from {least:g}" if math.isfinite(least) else ""
    high = f" to {most:g}" if math.isfinite(most) else " up" if low else ""
    raise InputError(f"{name}: {value!r} is not a number{low}{high}")


def check_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False: the word "no" would count as True."""
    if not isinstance(value, bool):
        raise InputError(f"{name}: {value!r} is neither True nor False")


def check_text(value: object, name: str) -> None:
    """Refuse what is no text."""
    if not isinstance(value, str):
        raise InputError(f"{name}: {value!r} is no text")


def as_path(value: str | os.PathLike[str], name: str) -> Path:
    """A path; raises InputError for what is none."""
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name}: {value!r} is no path")
    return Path(value)


def as_tuple(values: Iterable[_Value], name: str, example: str) -> tuple[_Value, ...]:
    """The values of a list; a text is none, though Python would take it letter by letter.

    Raises:
        InputError: it is no list; the message shows `example`.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name}: {values!r} is no list; write {example}")
    return tuple(values)
