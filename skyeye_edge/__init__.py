"""Captions, boxes and answers from drone video, on the machine at the flight line.

Importing this package loads nothing heavy: its names, listed in `skyeye_edge/public.py`, are
fetched on first use (PEP 562), so `import skyeye_edge` takes a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from skyeye_edge._version import __version__ as __version__

if TYPE_CHECKING:
    from skyeye_edge.public import *  # noqa: F403  # all of it, and nothing else, is handed on
else:  # a type checker would take any name from a __getattr__, also a misspelt one

    def __getattr__(name: str) -> object:
        if name == "__all__":  # what `import *` asks for; others like it are Python's own business
            return __dir__()
        if not name.startswith("_") and name in __dir__():
            return getattr(import_module(f"{__name__}.public"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    public = vars(import_module(f"{__name__}.public"))
    return sorted(["__version__", *(name for name in public if not name.startswith("_"))])
