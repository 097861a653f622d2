"""Write docs/cli.md from the program's own help pages; --check only compares."""

from __future__ import annotations

import argparse
import sys
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
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    pages = {"skyeye-edge": parser}
    pages |= {f"skyeye-edge {name}": each for name, each in commands.choices.items()}
    sections = [
        f"## {name}\n\n```text\n{each.format_help().rstrip()}\n```\n"
        for name, each in pages.items()
    ]
    return "\n".join([HEAD, *sections])


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
