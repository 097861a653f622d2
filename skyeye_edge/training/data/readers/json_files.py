"""Records of JSON files one after the other: a set of 600,000 questions fits no list of dicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.readers.entries import Entry, guarded, read_text, shown

_SPACE = re.compile(r"\s*")
_BETWEEN = re.compile(r"[\s,]*")


def read_array(file: Path, key: str = "") -> Iterator[Entry]:
    """The objects of a JSON list: the whole file, or what stands under `key`.

    Raises:
        DataError: the file is missing, no JSON, or has no such list.
    """
    found = False
    for name, entry in read_lists(file, key):
        found = True
        if entry is not None and name == key:
            yield entry
    if not found:
        raise DataError(f"{file}:1: no list{f' called {key}' if key else ''} in this JSON file")


def read_lists(file: Path, *keys: str) -> Iterator[tuple[str, Entry | None]]:
    """The objects of all lists of a JSON file with the names of their lists, in one pass.

    Args:
        file: a JSON list (its name is ""), or an object with lists among its values.
        keys: lists that are wanted; none: all lists of objects.

    Yields:
        name and object; first, for every list that is wanted, its name and None.

    Raises:
        DataError: the file is missing or no JSON, or a wanted list holds something else.
    """
    scan = _Scan(file)
    if scan.take("["):
        if not keys or "" in keys:
            yield "", None
            yield from (("", entry) for entry in scan.objects(""))
    elif scan.take("{"):
        while not scan.take("}"):
            key = scan.value()
            if not isinstance(key, str) or not scan.take(":"):
                raise scan.broken("a name in quotes and a colon are missing")
            if (not keys or key in keys) and scan.take("["):
                yield key, None
                yield from ((key, entry) for entry in scan.objects(key))
            else:
                scan.value()


def read_object(file: Path) -> Entry:
    """A file that is one JSON object.

    Raises:
        DataError: it is missing or no JSON object.
    """
    return _entry(file, 1, _Scan(file).value(), "")


def read_json_lines(file: Path) -> Iterator[Entry]:
    """The objects of a JSON Lines file; empty lines are skipped.

    Raises:
        DataError: the file is missing, or a line is no JSON object.
    """
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        with guarded(file, number):
            yield _entry(file, number, _json(file, number, line), "")


def _json(file: Path, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file}:{number}: not JSON, from character {error.colno}: {error.msg}; "
            "one object per line, in double quotes"
        ) from error


class _Scan:
    """A place in a JSON text that moves on value by value; keeps count of lines."""

    def __init__(self, file: Path) -> None:
        self._file, self._text = file, read_text(file)
        self._place, self._line, self._counted = 0, 1, 0
        self._decoder = json.JSONDecoder()

    def take(self, mark: str) -> bool:
        """Step over `mark`, if it comes next; commas are stepped over as well."""
        self._skip(_BETWEEN if mark in "}]" else _SPACE)
        if not self._text.startswith(mark, self._place):
            return False
        self._place += 1
        return True

    def value(self) -> object:
        """The next value, whatever it is."""
        self._skip(_BETWEEN)
        try:
            found, self._place = self._decoder.raw_decode(self._text, self._place)
        except json.JSONDecodeError as error:
            raise DataError(f"{self._file}:{error.lineno}: not JSON: {error.msg}") from error
        return found

    def objects(self, key: str) -> Iterator[Entry]:
        """Those of a list whose bracket was stepped over; numbered where a line holds several."""
        number, before = 0, 0
        while not self.take("]"):
            line = self._line_here()
            place = f"{key}[{number}]" if line == before else ""
            yield _entry(self._file, line, self.value(), place)
            number, before = number + 1, line

    def broken(self, problem: str) -> DataError:
        """The error that says so, with file and line."""
        return DataError(f"{self._file}:{self._line_here()}: not JSON: {problem}")

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def _skip(self, what: re.Pattern[str]) -> None:
        if found := what.match(self._text, self._place):
            self._place = found.end()


def _entry(file: Path, line: int, values: object, place: str) -> Entry:
    entry = Entry(file, line, values if isinstance(values, dict) else {}, place)
    if not isinstance(values, dict):
        entry.fail(f"{shown(values)} is no JSON object {{...}}")
    return entry
