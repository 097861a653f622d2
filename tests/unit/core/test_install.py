"""Commands that a user can run as they are, wherever the program runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from skyeye_edge.core import install
from skyeye_edge.core.install import install_command, pip


def test_pip_is_that_of_this_interpreter() -> None:
    assert shlex.split(pip()) == [sys.executable, "-m", "pip"]
    assert shlex.split(pip("/opt/my python/bin/python")) == [
        "/opt/my python/bin/python", "-m", "pip",
    ]  # fmt: skip


def a_distribution(folder: Path) -> Path:
    """What pip or a build leaves behind, in `folder`."""
    info = folder / "skyeye_edge-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: skyeye-edge\nVersion: 1.0\n")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "my checkout"
    folder.mkdir()
    (folder / "setup.py").touch()
    return folder


def test_where_the_package_is_installed_its_name_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkout: Path
) -> None:
    monkeypatch.setattr(sys, "path", [str(a_distribution(tmp_path / "site-packages"))])

    command = shlex.split(install_command("training", checkout))

    assert command == [sys.executable, "-m", "pip", "install", "skyeye-edge[training]"]


def test_what_a_build_left_in_the_checkout_does_not_hide_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkout: Path
) -> None:
    folders = a_distribution(checkout), a_distribution(tmp_path / "site-packages")
    monkeypatch.setattr(sys, "path", [str(folder) for folder in folders])

    assert install_command("training", checkout).endswith("'skyeye-edge[training]'")


@pytest.mark.parametrize("built", [False, True], ids=["fresh", "with what a build left"])
def test_in_a_checkout_that_is_not_installed_the_checkout_is_named(
    monkeypatch: pytest.MonkeyPatch, checkout: Path, built: bool
) -> None:
    monkeypatch.setattr(sys, "path", [str(a_distribution(checkout))] if built else [])

    command = shlex.split(install_command("training", checkout))

    assert command[-2:] == ["-e", f"{checkout}[training]"]


def test_this_checkout_is_found(repo: Path) -> None:
    assert repo == install.ROOT
