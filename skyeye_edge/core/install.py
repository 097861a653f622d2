"""The commands that install what is missing, as they work where this program runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the checkout, where there is one


def pip(python: str = "") -> str:
    """`pip` of an interpreter, by default this one: the first one on the path may be another's."""
    return f"{shlex.quote(python or sys.executable or 'python3')} -m pip"


def install_command(extra: str, root: Path = ROOT) -> str:
    """What to run for an extra of this package.

    From a checkout that is not installed the checkout itself is named: pip would look for
    `skyeye-edge` in a registry, and find another version or none.
    """
    if (root / "setup.py").is_file() and not _is_installed(root):
        return f"{pip()} install -e {shlex.quote(f'{root}[{extra}]')}"
    return f"{pip()} install 'skyeye-edge[{extra}]'"


def _is_installed(root: Path) -> bool:
    """Whether pip knows the package; what a build left in the checkout does not count."""
    from importlib.metadata import distributions

    places = (found.locate_file("") for found in distributions(name="skyeye-edge"))
    return any(Path(str(place)).resolve() != root for place in places)
