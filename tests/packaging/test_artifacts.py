"""Build sdist and wheel once, look inside, and install the wheel where nothing else is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from skyeye_edge import __version__

# without a path to this checkout, which would be found before the wheel
ALONE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def dist(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    out = tmp_path_factory.mktemp("dist")
    # sdist first and the wheel from the sdist, so that a file missing from MANIFEST.in shows
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(repo)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def bare(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and its own needs, no extra."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, env=ALONE)
    if done.returncode:
        pytest.skip(f"no package registry to install from: {done.stderr.strip()[-200:]}")
    return python


def run(python: Path | str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, cwd=cwd, env=ALONE
    )


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names} == {
        "skyeye_edge",
        f"skyeye_edge-{__version__}.dist-info",
    }


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "assets/demo.mp4",
        "assets/fonts/wqy-microhei.ttc",
        "assets/fonts/LICENSE",
        "assets/events.schema.json",
        "assets/skyeye-tiny/manifest.json",
        "assets/skyeye-tiny/LICENSE",
        "assets/skyeye-tiny/MODEL_CARD.md",
        "runtime/model.py",
        "runtime/sources/live_child.py",
    ],
)
def test_the_wheel_holds_what_the_runtime_needs(name: str, dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")

    assert f"skyeye_edge/{name}" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_the_recipes(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if name.startswith("skyeye_edge/training/recipes/")]


def test_the_sdist_is_complete_and_without_doubles(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    needed = {"setup.py", "pyproject.toml", "constraints.txt", "tests/conftest.py", "LICENSE"}
    assert needed <= names
    assert not [name for name in names if name.startswith(("training/", "export/", "runtime/"))]


def test_every_picture_and_page_that_the_readme_links_to_is_in_the_sdist(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2]: name for name in archive.getnames()}
        readme = archive.extractfile(names["README.md"])
        assert readme is not None
        links = re.findall(r"\]\(([^)#:]+)\)", readme.read().decode())

    assert "docs/images/frame.jpg" in links
    assert [link for link in links if link not in names] == []


def test_a_bare_install_is_light(bare: Path, tmp_path: Path) -> None:
    listing = run(bare, "-m", "pip", "list", "--format", "freeze", cwd=tmp_path)

    names = {line.partition("==")[0].lower() for line in listing.stdout.splitlines()}
    assert {"numpy", "pillow", "pyyaml", "rich", "shtab", "skyeye-edge"} <= names
    assert not names & {"torch", "onnxruntime", "llama-cpp-python", "opencv-python", "av"}


def test_a_bare_install_starts_and_shows_the_packaged_bundle(bare: Path, tmp_path: Path) -> None:
    version = run(bare, "-m", "skyeye_edge", "--version", cwd=tmp_path)
    shown = run(bare.with_name("skyeye-edge"), "bundle", "show", cwd=tmp_path)

    assert version.stdout.strip() == f"skyeye-edge {__version__}", version.stderr
    assert "skyeye-tiny" in shown.stdout, shown.stderr


def test_a_bare_install_names_the_extra_for_everything_else(bare: Path, tmp_path: Path) -> None:
    done = run(bare.with_name("skyeye-edge"), "demo", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'skyeye-edge[runtime]'" in done.stderr


def test_a_users_script_is_strictly_typed_against_the_wheel(
    bare: Path, repo: Path, tmp_path: Path
) -> None:
    script = str(shutil.copy(repo / "tests" / "packaging" / "user_script.py", tmp_path))
    checker = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"]

    done = run(*checker, "--python-executable", str(bare), script, cwd=tmp_path)

    assert done.stdout.startswith("Success"), done.stdout + done.stderr
    assert not re.search(r"\bcast\b|type: *ignore|\bAny\b", Path(script).read_text("utf-8"))
