"""Entries of an annotation file with the line they stand on, and checks of what they say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import DataError
from skyeye_edge.core.tasks import BOX_MARKS
from skyeye_edge.training.data.annotation import Annotation

OfSplit = tuple[str, Annotation]  # name of the split, and an image of it

_SPACE = re.compile(r"[\s,]*")
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF: these show the picture on its side


@dataclass(frozen=True, slots=True)
class Entry:
    """A JSON object of a file; complaints about it name file and line."""

    file: Path
    line: int  # where it begins, counted from 1
    values: Mapping[str, Any]

    def fail(self, problem: str) -> NoReturn:
        """Raise DataError with file and line."""
        raise DataError(f"{self.file}:{self.line}: {problem}")

    def text(self, key: str) -> str:
        """Words under `key`, outer and doubled spaces removed."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            self.fail(f'"{key}" is {_shown(value)}; give some words')
        return self._plain(key, value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of words under `key`."""
        values = self.values.get(key)
        if not isinstance(values, list) or not all(
            isinstance(v, str) and v.strip() for v in values
        ):
            self.fail(f'"{key}" is {_shown(values)}; give a list of sentences in quotes')
        return tuple(self._plain(key, value) for value in values)

    def label(self, key: str) -> str:
        """The name of an object under `key`: words without marks of the box syntax."""
        words = self.text(key)
        if found := [mark for mark in BOX_MARKS if mark in words]:
            self.fail(f'"{key}" is {_shown(words)}; {found[0]} cannot be part of a name')
        return words

    def _plain(self, key: str, words: str) -> str:
        """Outer and doubled spaces removed; half a character, as `\\ud800` gives, is refused."""
        try:
            words.encode()
        except UnicodeEncodeError:
            self.fail(f'"{key}" is {_shown(words)}; a part of it is no character')
        return " ".join(words.split())

    def objects(self, key: str) -> list[Entry]:
        """A list of JSON objects under `key`."""
        values = self.values.get(key)
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            self.fail(f'"{key}" is {_shown(values)}; give a list of objects: [{{...}}, ...]')
        return [Entry(self.file, self.line, value) for value in values]

    def box(self, key: str) -> XYXY:
        """A box with an area under `key`."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 4 and all(_is_number(edge) for edge in value):
            x1, y1, x2, y2 = (float(edge) for edge in value)
            if x1 < x2 and y1 < y2:
                return x1, y1, x2, y2
        self.fail(
            f'"{key}" is {_shown(value)}; give [left, top, right, bottom] in pixels, '
            "left < right and top < bottom"
        )

    def box_in(self, key: str, image: Path) -> XYXY:
        """A box under `key` that lies in the image, at least in part."""
        x1, y1, x2, y2 = self.box(key)
        width, height = _size(image)
        if min(x2, width) - max(x1, 0) <= 0 or min(y2, height) - max(y1, 0) <= 0:
            self.fail(
                f'"{key}" is {_shown(self.values[key])}; nothing of it lies in {image.name}, '
                f"which is {width} x {height} pixels"
            )
        return x1, y1, x2, y2

    def image(self, name: str, folder: Path) -> Path:
        """The image file called `name` in `folder`."""
        path = folder / name
        if not path.is_file():
            self.fail(f"there is no image {path}; names are relative to {folder}")
        return path

    def only(self, known: Sequence[str]) -> None:
        """Complain about a key that is not known."""
        for key in self.values:
            if key not in known:
                self.fail(f'"{key}" is not known here; known are {", ".join(sorted(known))}')


def read_array(file: Path, key: str = "") -> Iterator[Entry]:
    """The objects of a JSON list: the whole file, or what stands under `key`.

    Raises:
        DataError: the file is missing, no JSON, or has no such list.
    """
    text = read_text(file)
    opening = re.compile(rf'"{key}"\s*:\s*\[' if key else r"\s*\[").search(text)
    if opening is None or (not key and opening.start() != 0):
        raise DataError(f"{file}:1: no list{f' called {key}' if key else ''} in this JSON file")
    place, line, counted = opening.end(), 1, 0
    decoder = json.JSONDecoder()
    while True:
        space = _SPACE.match(text, place)
        place = space.end() if space else place
        line, counted = line + text.count("\n", counted, place), place
        if text.startswith("]", place):
            return
        try:
            values, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise DataError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
        yield _entry(file, line, values)


def read_json_lines(file: Path) -> Iterator[Entry]:
    """The objects of a JSON Lines file; empty lines are skipped.

    Raises:
        DataError: the file is missing, or a line is no JSON object.
    """
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{file}:{number}: not JSON, from character {error.colno}: {error.msg}; "
                "one object per line, in double quotes"
            ) from error
        yield _entry(file, number, values)


def read_text(file: Path) -> str:
    """The whole file.

    Raises:
        DataError: it is missing or not UTF-8.
    """
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{file}: cannot be read: {reason}") from error


def _entry(file: Path, line: int, values: object) -> Entry:
    if not isinstance(values, dict):
        raise DataError(f"{file}:{line}: {_shown(values)} is no JSON object {{...}}")
    return Entry(file, line, values)


def _size(image: Path) -> tuple[float, float]:
    """Width and height as the picture is seen; endless where it cannot be read: told later."""
    try:
        with Image.open(image) as opened:
            turned = opened.getexif().get(ORIENTATION, 1) in TURNED
            width, height = opened.size
    except (OSError, Image.DecompressionBombError):
        return math.inf, math.inf
    return (height, width) if turned else (width, height)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
