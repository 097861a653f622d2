"""The command line: one module per command, which parses, calls the API and prints."""

from skyeye_edge.cli.main import main

__all__ = ["main"]
