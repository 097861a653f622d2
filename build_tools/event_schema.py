"""Write the JSON Schema of results and events from the types in core/json_types.py.

python build_tools/event_schema.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from skyeye_edge.core import json_types
from skyeye_edge.core.events import SCHEMA

PAGE = Path(__file__).resolve().parent.parent / "skyeye_edge" / "assets" / "events.schema.json"
WORDS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def main() -> None:
    """Write the file, or say that it is not what it would be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    args = parser.parse_args()
    text = json.dumps(build_schema(), indent=1, ensure_ascii=False) + "\n"
    if not args.check:
        PAGE.write_text(text, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != text:
        sys.exit(f"{PAGE.name} is not what the types say; run: make docs")


def build_schema() -> dict[str, Any]:
    """An event; a result alone is `#/$defs/ResultValues`."""
    kinds: dict[str, Any] = {}
    lines = _any_of(get_args(json_types.LineValues), kinds)
    kinds["ResultValues"] = _any_of(get_args(json_types.ResultValues), kinds)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Events of skyeye-edge, schema {SCHEMA}: one a line",
        "description": "Ignore types and keys that you do not know: later versions add some.",
        **lines,
        "$defs": dict(sorted(kinds.items())),
    }


def _define(kind: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    """A reference to a TypedDict, which is described under its name."""
    if kind.__name__ not in kinds:
        kinds[kind.__name__] = {}  # against going round in circles
        hints = get_type_hints(kind, include_extras=True)
        kinds[kind.__name__] = {
            "type": "object",
            "description": kind.__doc__,
            "properties": {key: _schema(hint, kinds) for key, hint in hints.items()},
            "required": [key for key in hints if key in kind.__required_keys__],
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _schema(hint: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    """What a type allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return _define(hint, kinds)
    if origin is Annotated:
        base, *notes = arguments
        schema = _schema(base, kinds)
        for note in notes:
            schema = schema | (note if isinstance(note, dict) else {"description": note})
        return schema
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (Union, UnionType):
        return _any_of(arguments, kinds)
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], kinds)}
    if hint is type(None):
        return {"type": "null"}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], kinds)}
    return {} if hint is Any else {"type": WORDS[hint]}


def _any_of(hints: tuple[Any, ...], kinds: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [_schema(hint, kinds) for hint in hints]}


if __name__ == "__main__":
    main()
