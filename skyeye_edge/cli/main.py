"""Parser and dispatch; what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from skyeye_edge import __version__


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; building it imports nothing heavy."""
    parser = argparse.ArgumentParser(prog="skyeye-edge", description="SkyEye Edge SDK")
    parser.add_argument("--version", action="version", version=f"skyeye-edge {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `skyeye-edge` script; returns the exit code."""
    build_parser().parse_args(argv)
    return 0
