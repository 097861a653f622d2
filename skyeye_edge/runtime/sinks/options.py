"""Settings of a sink: behind a question mark in its address, or as keywords."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import unquote

from skyeye_edge.core.arguments import check_number, check_whole
from skyeye_edge.core.errors import InputError

_Settings = TypeVar("_Settings")
_PART = r"[a-z][a-z_]*=[^&?]*"
_OPTIONS = re.compile(rf"(.*)\?({_PART}(?:&{_PART})*)", re.DOTALL)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def split_options(what: str) -> tuple[str, dict[str, str]]:
    """`events.jsonl?fsync=each&keep=3` as the path or address, and its settings."""
    found = _OPTIONS.fullmatch(what)
    if found is None:
        return what, {}
    parts = (part.partition("=") for part in found[2].split("&"))
    return found[1], {name: unquote(value) for name, _, value in parts}


def read_settings(kind: type[_Settings], given: Mapping[str, object], name: str) -> _Settings:
    """A frozen class of settings, of text from a command line or of values from Python or YAML.

    Args:
        kind: a dataclass whose fields are numbers, texts, flags or words to choose from.
        given: by the names of its fields.
        name: of the sink, for messages.

    Raises:
        InputError: names what there is.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f", did you mean {near[0]}? There" if near else "; there"
            names = ", ".join(known) or "none"
            raise InputError(f"{name}: no setting is called {key!r}{hint} are: {names}")
    types = get_type_hints(kind)
    values = {key: _value(types[key], value, f"{name}: {key}") for key, value in given.items()}
    missing = [key for key, each in known.items() if each.default is MISSING and key not in given]
    assert not missing, missing  # every setting has a default
    return kind(**values)


def _value(kind: Any, value: object, what: str) -> object:
    allowed = get_args(kind) if get_origin(kind) is not Literal else (kind,)
    for each in allowed or (kind,):
        if each is not type(None) and (read := _read(each, value, what)) is not None:
            return read
    raise InputError(f"{what}={value}: give {_words(kind)}")


def _read(kind: Any, value: object, what: str) -> object:
    """A value as one kind; None if it is no such."""
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else None
    if kind is bool:
        return value if isinstance(value, bool) else _FLAGS.get(str(value).lower())
    if kind is str:
        return value if isinstance(value, str) else None
    if isinstance(value, bool):
        return None
    try:
        number = kind(value)
        check = check_whole if kind is int else check_number
        check(number, what, 0)
    except (TypeError, ValueError, InputError):
        return None
    return number


def _words(kind: Any) -> str:
    """What may be given, for people."""
    if get_origin(kind) is Literal:
        return " or ".join(str(each) for each in get_args(kind))
    each = [part for part in get_args(kind) if part is not type(None)]
    if each:
        return " or ".join(_words(part) for part in each)
    words = {bool: "yes or no", int: "a whole number", float: "a number", str: "a text"}
    return words[kind]
