"""Write docs/cli.md from the program's own help pages; --check only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.cli.main import build_parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
HEAD = """\
# Command line

Written by `make docs` from the program's own help pages. Results go to stdout, everything else to
stderr; progress is shown on a terminal only.
"""


def build_page() -> str:
    """The whole page."""
    sections = [
        f"## {name}\n\n```text\n{each.format_help().rstrip()}\n```\n"
        for name, each in pages("skyeye-edge", build_parser())
    ]
    return "\n".join([HEAD, *sections])


def pages(
    name: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A command and all below it."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, each in action.choices.items():
                yield from pages(f"{name} {word}", each)


def main() -> None:
    """Write, or compare and say what to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if not args.check:
        PAGE.write_text(build_page(), "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != build_page():
        sys.exit("docs/cli.md is not what the program says; run: make docs")


if __name__ == "__main__":
    main()
