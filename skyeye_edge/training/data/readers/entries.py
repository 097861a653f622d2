"""Entries of an annotation file with the place they stand at, and checks of what they say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.core.errors import DataError
from skyeye_edge.core.tasks import BOX_MARKS
from skyeye_edge.training.data.annotation import Annotation

OfSplit = tuple[str, Annotation]  # name of the split, and an image of it

MOST_WORDS = 2000  # of one text: no answer is longer, and no model here could learn it
_SPLIT = r"(?:.*[^a-z])?(train|val|test)(?:ing|id|idation|val)?\d*"


@dataclass(slots=True)
class Reading:
    """What whoever reads files hears of them beside their annotations."""

    place: str = ""  # file and line of the entry that was read last
    problems: list[DataError] = field(default_factory=list)  # of entries that were left out


_READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def listening() -> Iterator[Reading]:
    """While the block reads files, an entry that is wrong is noted instead of raised."""
    reading = Reading()
    token = _READING.set(reading)
    try:
        yield reading
    finally:
        _READING.reset(token)


@contextmanager
def guarded(file: Path, line: int = 1) -> Iterator[None]:
    """Around what is read of one entry: where somebody listens, a complaint ends it alone."""
    reading = _READING.get()
    if reading is not None:
        reading.place = f"{file}:{line}"
    try:
        yield
    except DataError as error:
        if reading is None:
            raise
        reading.problems.append(error)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a file; complaints about it name file and line."""

    file: Path
    line: int  # where it begins, counted from 1
    values: Mapping[str, Any]
    place: str = ""  # such as "images[7]", where one line holds many records

    def guarded(self) -> AbstractContextManager[None]:
        """Around what is read of this entry, see `guarded`."""
        return guarded(self.file, self.line)

    def fail(self, problem: str) -> NoReturn:
        """Raise DataError with file and line."""
        place = f"{self.place}: " if self.place else ""
        raise DataError(f"{self.file}:{self.line}: {place}{problem}")

    def text(self, key: str) -> str:
        """Words under `key`, outer and doubled spaces removed."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            self.fail(f'"{key}" is {shown(value)}; give some words')
        return self._plain(key, value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of words under `key`."""
        values = self.values.get(key)
        if not isinstance(values, list) or not all(
            isinstance(v, str) and v.strip() for v in values
        ):
            self.fail(f'"{key}" is {shown(values)}; give a list of sentences in quotes')
        return tuple(self._plain(key, value) for value in values)

    def name(self, *keys: str) -> str:
        """Words under the first of `keys` that is there: sets differ in what they call a file."""
        known = next((key for key in keys if key in self.values), keys[0])
        value = self.values.get(known)
        whole = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if whole else self.text(known)

    def label(self, key: str) -> str:
        """The name of an object under `key`: words without marks of the box syntax."""
        words = self.text(key)
        if found := [mark for mark in BOX_MARKS if mark in words]:
            self.fail(f'"{key}" is {shown(words)}; {found[0]} cannot be part of a name')
        return words

    def _plain(self, key: str, text: str) -> str:
        """Outer and doubled spaces removed; half a character, as `\\ud800` gives, is refused."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f'"{key}" is {shown(text)}; a part of it is no character')
        words = text.split()
        if len(words) > MOST_WORDS:
            self.fail(
                f'"{key}" has {len(words):,} words and begins {shown(text[:40])}; '
                f"more than {MOST_WORDS:,} are no answer that a model could learn"
            )
        return " ".join(words)

    def number(self, key: str) -> float:
        """A number under `key`, also as a text, as XML has it."""
        value: object = self.values.get(key)
        if isinstance(value, str):
            with suppress(ValueError):
                value = float(value)
        if not is_number(value):
            self.fail(f'"{key}" is {shown(value)}; give a number')
        return value

    def whole(self, key: str) -> int:
        """A whole number under `key`."""
        value = self.number(key)
        if value != int(value):
            self.fail(f'"{key}" is {shown(self.values[key])}; give a whole number')
        return int(value)

    def object(self, key: str) -> Entry:
        """A JSON object under `key`."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            self.fail(f'"{key}" is {shown(value)}; give an object: {{...}}')
        return self._inner(key, value)

    def objects(self, key: str) -> list[Entry]:
        """A list of JSON objects under `key`."""
        values = self.values.get(key)
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            self.fail(f'"{key}" is {shown(values)}; give a list of objects: [{{...}}, ...]')
        return [self._inner(f"{key}[{number}]", value) for number, value in enumerate(values)]

    def _inner(self, key: str, value: Mapping[str, Any]) -> Entry:
        return Entry(self.file, self.line, value, f"{self.place}.{key}" if self.place else "")

    def box(self, key: str) -> XYXY:
        """A box with an area under `key`: left, top, right, bottom."""
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
            self.fail(f'"{key}" is {shown(value)}; give {_CORNERS}')
        return self.checked(value, f'"{key}" is {shown(value)}')

    def box_in(self, key: str, size: Size) -> XYXY:
        """A box under `key` that lies in an image of `size`, at least in part."""
        return self.inside(self.box(key), size, f'"{key}" is {shown(self.values[key])}')

    def checked(self, edges: Sequence[float], said: str) -> XYXY:
        """Four edges with an area between them; `said` is how the file says it."""
        x1, y1, x2, y2 = (float(edge) for edge in edges)
        if not all(map(math.isfinite, (x1, y1, x2, y2))) or x1 >= x2 or y1 >= y2:
            self.fail(f"{said}; give {_CORNERS}")
        return x1, y1, x2, y2

    def inside(self, box: XYXY, size: Size, said: str) -> XYXY:
        """A box that lies in an image of `size`, at least in part."""
        (x1, y1, x2, y2), (width, height) = box, size
        if size == UNKNOWN:
            return box
        if min(x2, width) - max(x1, 0) <= 0 or min(y2, height) - max(y1, 0) <= 0:
            self.fail(f"{said}; nothing of it lies in the image, {width} x {height} pixels")
        return box

    def only(self, known: Sequence[str]) -> None:
        """Complain about a key that is not known."""
        for key in self.values:
            if key not in known:
                self.fail(f'"{key}" is not known here; known are {", ".join(sorted(known))}')


_CORNERS = "[left, top, right, bottom] in pixels, left < right and top < bottom"
UNKNOWN: Size = (0, 0)  # of an image that cannot be read: training says so, or skips it


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


def read_rows(file: Path) -> list[Entry]:
    """The lines of a text file that are not empty, each under "line"."""
    return [
        Entry(file, number, {"line": line.strip()})
        for number, line in enumerate(read_text(file).split("\n"), start=1)
        if line.strip()
    ]


def files_in(path: Path, suffix: str) -> list[Path]:
    """The file itself, or all in a folder and those below, in the order of their names.

    Raises:
        DataError: there is none.
    """
    found = [path] if path.is_file() else sorted(path.rglob(f"*{suffix}"))
    if not found:
        raise DataError(f"{path}: no such file, and no folder with {suffix} files")
    return found


def split_of(path: Path) -> str:
    """What the name of a file, or of one of the two folders above, says; "train" if nothing."""
    stem, *folders = (path.stem, path.parent.name, path.parent.parent.name)
    found = re.fullmatch(rf"{_SPLIT}(?:[^a-z].*)?", stem.lower())
    for folder in folders:
        found = found or re.fullmatch(_SPLIT, folder.lower())
    return found[1] if found else "train"


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that is finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def shown(value: object) -> str:
    """A value as JSON in an error, shortened."""
    if value is None:
        return "missing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
