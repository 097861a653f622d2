"""How models write boxes: marks around numbers, one entry of LANGUAGES for each way.

Sources: MiniGPT-v2's `{<x1><y1><x2><y2>}`; GeoChat's, with the angle behind it (geochat_demo.py);
the lists of shares that LLaVA-1.5 learnt from RefCOCO.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

CORNERS = 4
LARGEST_ANGLE = 180  # degrees; a box that is turned by so much is itself again


@dataclass(frozen=True, slots=True)
class Numbers:
    """How one number is written."""

    highest: int  # the largest one, in bins (or degrees)
    decimals: int = 0  # of a share of `highest`, always as many; 0: the whole number itself

    def text(self, value: int) -> str:
        """The number in writing."""
        return f"{value / self.highest:.{self.decimals}f}" if self.decimals else str(value)

    def may_begin(self, text: bytes, least: int, most: int) -> bool:
        """True if some number from `least` to `most` begins with `text`."""
        if self.decimals:
            return self._share_may_begin(text, least, most)
        return text.isdigit() and _largest(text, most) >= least

    def complete(self, text: bytes, least: int, most: int) -> int | None:
        """The number that `text` is, or None if it is none from `least` to `most` yet."""
        if not self.may_begin(text, least, most):
            return None
        if self.decimals:
            whole = len(text) == self.decimals + len("0.")
            return int(text.replace(b".", b"")) if whole else None
        return int(text) if int(text) >= least else None

    def _share_may_begin(self, text: bytes, least: int, most: int) -> bool:
        if not re.fullmatch(rb"[0-9](\.[0-9]{0,%d})?" % self.decimals, text):
            return False
        digits, width = text.replace(b".", b""), self.decimals + 1
        return int(digits.ljust(width, b"0")) <= most and int(digits.ljust(width, b"9")) >= least


def _largest(digits: bytes, most: int) -> int:
    """The largest number up to `most` that begins with these digits; -1 if there is none."""
    least = largest = int(digits)
    if least > most or (digits[:1] == b"0" and digits != b"0"):
        return -1
    while 0 < least * 10 <= most:
        least, largest = least * 10, min(largest * 10 + 9, most)
    return largest


@dataclass(frozen=True)  # no slots: patterns are made once
class BoxLanguage:
    """Left, top, right, bottom between marks; a fifth number is the angle in degrees."""

    marks: tuple[str, ...]  # before the first number, between two, behind the last
    shares: bool = False  # numbers are shares of the side; else whole bins
    heading: str = "<p>{}</p> "  # what stands before the boxes of a name; empty: nothing
    again: str = "<delim>"  # between two boxes of one name

    @property
    def turned(self) -> bool:
        """True if the angle is written too."""
        return len(self.marks) == CORNERS + 2

    @cached_property
    def box(self) -> re.Pattern[str]:
        """One box; its groups are the numbers. A box without its angle is read too."""
        return re.compile(self._box)

    @cached_property
    def phrase(self) -> re.Pattern[str]:
        """Words with their boxes; groups 1 and 2. Never found where nothing marks the words."""
        if not self.heading:
            return re.compile(r"(?!)")
        before, after = (re.escape(part.strip()) for part in self.heading.split("{}"))
        box = re.sub(r"\((?!\?)", "(?:", self._box)
        boxes = f"{box}(?:(?:{re.escape(self.again)})?{box})*"
        return re.compile(f"{before}(.*?){after} ?({boxes})")

    @cached_property
    def begun(self) -> re.Pattern[str]:
        """The beginning of a box; other brackets of this kind are words."""
        first, rest = self.marks[0][0], re.escape(self.marks[0][1:]) or "[0-9]"
        return re.compile(f"{re.escape(first)}(?:{rest}|$)")

    @cached_property
    def scraps(self) -> re.Pattern[str]:
        """Marks, of whole boxes and of those that broke off: what is no word in an answer."""
        first, second, last = self.marks[0], self.marks[1], self.marks[-1]
        if first[1:]:  # `{<`: each number has marks of its own
            inner, close = re.escape(first[1:]), re.escape(second[:1])
            number = f"{inner}[0-9]{{1,4}}{close}"
            angle = rf"(?:\|{inner}-?[0-9]{{0,3}}{close}?)?" if self.turned else ""
            box = f"{re.escape(first[0])}?(?:{number})+{angle}{re.escape(last[-1])}?"
            broken = rf"{re.escape(first[0])}{inner}?[0-9]*$|{inner}[0-9]{{1,4}}$"
        else:
            box = re.sub(r"\((?!\?)", "(?:", self._box)
            broken = rf"{re.escape(first)}(?:[01][0-9., ]*)?$"
        marks = r"</?p>|<delim>"
        return re.compile(rf"{box}|{marks}|{broken}|<(?:/?p?|d[elim]{{0,4}})$")

    def write(self, numbers: tuple[str, ...]) -> str:
        """The text of one box."""
        between = zip(self.marks, (*numbers, ""), strict=True)
        return "".join(mark + number for mark, number in between)

    @property
    def _box(self) -> str:
        number = r"([01](?:\.[0-9]{1,4})?)" if self.shares else "([0-9]{1,4})"
        marks = [re.escape(mark).replace(r"\ ", " ?") for mark in self.marks]
        text = "".join(mark + number for mark in marks[:CORNERS])
        angle = f"(?:{marks[CORNERS]}(-?[0-9]{{1,3}}))?" if self.turned else ""
        return text + angle + marks[-1]


LANGUAGES: Mapping[str, BoxLanguage] = MappingProxyType(
    {
        "minigptv2": BoxLanguage(("{<", "><", "><", "><", ">}")),
        "geochat": BoxLanguage(("{<", "><", "><", "><", ">|<", ">}")),
        "normalised": BoxLanguage(
            ("[", ", ", ", ", ", ", "]"), shares=True, heading="", again=", "
        ),
    }
)
