"""What is wrong with annotated images: entries, images, boxes, answers, copies across splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import DataError, MediaError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.inspection.likeness import Likeness, likeness, same_pictures
from skyeye_edge.training.data.inspection.sources import Source
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.readers.entries import split_of
from skyeye_edge.training.data.record import RGB, ImageSource, read_rgb
from skyeye_edge.training.data.video_frames import VideoFrame

Kind = Literal["entry", "image", "box", "answer", "long", "leak"]
MOST_WORDS = 500  # of one text: longer than any answer that a model here could give
OUTSIDE = 1.0  # pixels: edges out by no more come from rounding
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_PLACE = re.compile(r"(?s)(.+?):(\d+)(?:: (.*))?")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and where."""

    kind: Kind
    place: str  # `FILE:LINE`, or the file alone
    says: str

    def to_json(self) -> dict[str, Any]:
        """For machines; `line` is null where the place has none."""
        found = _PLACE.fullmatch(self.place)
        file, line = (found[1], int(found[2])) if found else (self.place, None)
        return {"file": file, "line": line, "kind": self.kind, "message": self.says}


@dataclass(slots=True)
class Side:
    """The images of one split, or of what is compared with: each once."""

    name: str
    places: dict[str, str] = field(default_factory=dict)  # by image: where it is named first
    pictures: dict[str, Likeness] = field(default_factory=dict)


@dataclass(slots=True)
class Checked:
    """What was looked at."""

    entries: int = 0
    images: int = 0
    findings: list[Finding] = field(default_factory=list)


def read_entries(sources: Sequence[Source]) -> tuple[list[Found], list[Finding]]:
    """All entries that can be read, and what is wrong with the others.

    A file in which all is "train" but that is called `test.jsonl` is a test split here.

    Raises:
        DataError: a format is not known.
    """
    entries, problems = [], []
    for source in sources:
        found, errors = source.read()
        named = split_of(source.path)
        if {each.split for each in found} == {"train"} != {named}:
            found = [replace(each, split=named) for each in found]
        entries += found
        problems += [_of_error(error) for error in errors]
    return entries, problems


def check(
    found: Sequence[Found],
    against: Sequence[Source] = (),
    tell: Callable[[int], None] = lambda done: None,
) -> Checked:
    """What is wrong with entries that can be read; copies across splits at the end.

    Args:
        found: what is looked at; splits of one name belong together.
        against: files or folders of images that must not show the same.
        tell: hears how many entries are done.

    Raises:
        DataError: a format is not known, or one of `against` has no image.
    """
    checked = Checked()
    sides: dict[str, Side] = {}
    compared = bool(against) or len({each.split for each in found}) > 1
    for number, each in enumerate(found, start=1):
        side = sides.setdefault(each.split, Side(each.split))
        checked.findings += _check_entry(each, side, compared)
        tell(number)
    checked.entries, checked.images = len(found), sum(len(side.places) for side in sides.values())
    checked.findings += _leaks(list(sides.values()), [_read_side(each) for each in against])
    return checked


def _check_entry(found: Found, side: Side, compared: bool) -> Iterator[Finding]:
    item = found.item
    sizes = []
    for image in item.images:
        try:
            rgb = read_rgb(image)
        except MediaError as error:
            yield Finding("image", found.place, str(error))
            continue
        sizes.append((rgb.shape[1], rgb.shape[0]))
        _remember(side, _name(image), found.place, rgb, compared)
    if len(sizes) == 1:
        yield from _check_boxes(found, sizes[0])
    for words in _texts(item):
        if not words.strip():
            yield Finding("answer", found.place, "an empty caption, question or answer")
        elif len(words.split()) > MOST_WORDS:
            number = len(words.split())
            says = f"a text of {number} words; nothing beyond {MOST_WORDS} is learnt"
            yield Finding("long", found.place, f"{says}: {words[:40]!r}...")


def _check_boxes(found: Found, size: tuple[int, int]) -> Iterator[Finding]:
    width, height = size
    named = [(label, box) for box, label in found.item.objects] + list(found.item.phrases)
    for name, (x1, y1, x2, y2) in dict.fromkeys(named):
        if x2 <= x1 or y2 <= y1:
            yield Finding("box", found.place, f"{name!r}: {_numbers((x1, y1, x2, y2))} is no box")
        elif min(x1, y1) < -OUTSIDE or x2 > width + OUTSIDE or y2 > height + OUTSIDE:
            says = f"{name!r}: {_numbers((x1, y1, x2, y2))} leaves the image, {width} x {height}"
            yield Finding("box", found.place, says)


def _texts(item: Annotation) -> Iterator[str]:
    yield from item.captions
    yield from (words for words, _ in item.phrases)
    yield from item.absent
    for question, answer in item.questions:
        yield question
        yield answer


def _remember(side: Side, name: str, place: str, rgb: RGB, compared: bool) -> None:
    if name not in side.places:
        side.places[name] = place
        if compared:
            side.pictures[name] = likeness(rgb)


def _read_side(source: Source) -> Side:
    """The images of a file, or of a folder; those that cannot be read are left out.

    Raises:
        DataError: there is none.
    """
    side, path = Side(source.name), source.path
    pairs: list[tuple[ImageSource, str]]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGES)
        pairs = [(file, str(file)) for file in files]
    else:
        found, problems = source.read()
        if not found and problems:
            raise problems[0]
        pairs = [(image, each.place) for each in found for image in each.item.images]
    for image, place in pairs:
        try:
            _remember(side, _name(image), place, read_rgb(image), compared=True)
        except MediaError:
            continue
    if not side.pictures:
        raise DataError(f"{path}: no image to compare with")
    return side


def _leaks(sides: Sequence[Side], others: Sequence[Side]) -> Iterator[Finding]:
    pairs = [(one, two) for place, one in enumerate(sides) for two in sides[:place]]
    pairs += [(one, two) for one in sides for two in others]
    for one, two in pairs:
        mine, theirs = list(one.pictures), list(two.pictures)
        alike = same_pictures([one.pictures[n] for n in mine], [two.pictures[n] for n in theirs])
        for here, there, share in sorted(alike):
            name, other = mine[here], theirs[there]
            same = "is the same file as" if name == other else "shows the same as"
            says = f"{Path(name).name} ({one.name}) {same} {Path(other).name} ({two.name})"
            where = two.places[other]
            yield Finding("leak", one.places[name], f"{says}, {where}; correlation {share:.3f}")


def _of_error(error: DataError) -> Finding:
    found = _PLACE.fullmatch(str(error))
    if found and found[3]:
        return Finding("entry", f"{found[1]}:{found[2]}", found[3])
    return Finding("entry", str(error).split(": ")[0], str(error))


def _name(image: ImageSource) -> str:
    if isinstance(image, VideoFrame):
        return f"{image.path}, at {image.share:.0%}"
    return f"drawn {id(image)}" if isinstance(image, np.ndarray) else str(image)


def _numbers(box: XYXY) -> str:
    return "[" + ", ".join(f"{edge:g}" for edge in box) + "]"
