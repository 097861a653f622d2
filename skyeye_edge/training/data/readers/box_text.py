"""Texts with boxes in them, in any of the languages that public sets use, as words and boxes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from skyeye_edge.core.boxes import Box, BoxSpec, Size, box_pixels, is_box, read_box
from skyeye_edge.core.results import PLACE
from skyeye_edge.training.data.readers.entries import UNKNOWN, Entry

# `{<x1><y1><x2><y2>}` and the same with `|<angle>` count in hundredths; lists are shares.
SPECS = (BoxSpec(format="geochat"), BoxSpec(bins=1000, format="normalised"))
_MAYBE = re.compile(r"\{<|\{\d|\[[01]|<p>")  # most texts have none of these
_BEGUN = re.compile(r"\{<|\{\d")  # what is left of a box that could not be read
_GROUP = re.compile(rf"{PLACE}(?:\s*(?:<delim>|,)?\s*{PLACE})*")
_NAMED = re.compile(rf"<p>(.*?)</p>\s*({PLACE})?")
Groups = tuple[tuple[str, tuple[Box, ...]], ...]  # words, or "" for a `PLACE` in the text


@dataclass(frozen=True, slots=True)
class BoxedText:
    """Words, and the boxes that stood among them."""

    words: str  # a group of boxes that no words are marked for has left a `PLACE`
    groups: Groups = ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes in their order."""
        return tuple(box for _, boxes in self.groups for box in boxes)

    @property
    def bare(self) -> bool:
        """Whether there is nothing but boxes and the words that they are boxes of."""
        rest = self.words.replace(PLACE, " ")
        for name, _ in self.groups:
            rest = rest.replace(name, " ", 1)
        return not re.search(r"\w", rest)


def has_boxes(text: str) -> bool:
    """Whether reading it needs the size of the image."""
    if not _MAYBE.search(text):
        return False
    return bool(_BEGUN.search(text)) or any(spec.language.box.search(text) for spec in SPECS)


def read_boxed_text(text: str, size: Size, entry: Entry) -> BoxedText:
    """A text as words and boxes in pixels.

    Args:
        text: as the file has it; `<p>` and `</p>` stand around the words of a box.
        size: (width, height) of the image; not needed without boxes.
        entry: where it stands.

    Raises:
        DataError: a box is broken, has no area, or lies outside.
    """
    text = text.replace(PLACE, " ")
    if not _MAYBE.search(text):
        return BoxedText(text)
    if size == UNKNOWN:  # the image cannot be read: training says so, or skips it
        size = (1, 1)
    found: list[Box] = []  # marked first, so that those of both languages come in their order
    for number, spec in enumerate(SPECS):
        text = spec.language.box.sub(rf"{PLACE}{number}|\g<0>{PLACE}", text)
    for match in re.finditer(rf"{PLACE}(\d)\|([^{PLACE}]*){PLACE}", text):
        found.append(_box(match, size, entry))
    text = re.sub(rf"{PLACE}\d\|[^{PLACE}]*{PLACE}", PLACE, text)
    if _BEGUN.search(text):
        _broken(entry, text)
    return _grouped(text, found)


def _box(match: re.Match[str], size: Size, entry: Entry) -> Box:
    spec = SPECS[int(match[1])]
    written = spec.language.box.fullmatch(match[2])
    assert written  # it was found by this pattern
    bins, angle = read_box(written, spec)
    if not is_box(bins, spec) or bins[0] == bins[2] or bins[1] == bins[3]:
        entry.fail(
            f"the box {match[2]} has no area or is not from 0 to {spec.bins}; "
            "boxes are left, top, right, bottom"
        )
    return Box(box_pixels(bins, size, spec, angle), angle=angle)


def _broken(entry: Entry, text: str) -> NoReturn:
    place = _BEGUN.search(text)
    assert place
    entry.fail(f'a box is broken: "...{text[place.start() : place.start() + 40]}"')


def _grouped(text: str, boxes: list[Box]) -> BoxedText:
    """Neighbouring boxes as one group, and groups with the words that are marked before them."""
    sizes = [match[0].count(PLACE) for match in _GROUP.finditer(text)]
    text = _GROUP.sub(PLACE, text)
    left = iter(boxes)
    bundles = iter([tuple(next(left) for _ in range(size)) for size in sizes])
    groups: list[tuple[str, tuple[Box, ...]]] = []

    def name(match: re.Match[str]) -> str:
        words = " ".join(match[1].split())
        if match[2]:
            groups.append((words, next(bundles)))
        return f"{words} "

    words, place = "", 0
    for match in re.finditer(rf"{_NAMED.pattern}|{PLACE}", text):
        words += text[place : match.start()]
        if match[0] == PLACE:
            groups.append(("", next(bundles)))
            words += PLACE
        else:
            words += name(match)
        place = match.end()
    words = " ".join((words + text[place:]).split())
    return BoxedText(re.sub(r" ([.,;:!?])", r"\1", words), tuple(groups))
