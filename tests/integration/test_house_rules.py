"""Rules about the project itself, held by tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import skyeye_edge

TOP = ("training", "export", "runtime")
NAMES = dir(skyeye_edge)
ALIASES = {"Event", "Task", "TaskResult", "__version__"}  # unions and text have no docstring


def test_a_public_name_stands_in_one_line_of_one_file(repo: Path) -> None:
    package = repo / "skyeye_edge"
    front_door = (package / "__init__.py").read_text("utf-8")
    public = (package / "public.py").read_text("utf-8")
    stated = re.findall(r"^(?:from \S+ import|   ) (\w+) as \1,?$", public, re.MULTILINE)

    assert sorted(["__version__", *stated]) == NAMES
    assert [name for name in stated if re.search(rf"\b{name}\b", front_door)] == []


def test_a_star_import_brings_the_public_names() -> None:
    brought: dict[str, object] = {}

    exec("from skyeye_edge import *", brought)

    assert sorted(brought.keys() - {"__builtins__"}) == NAMES


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Captoin"):
        skyeye_edge.Captoin  # type: ignore[attr-defined]  # noqa: B018  # a type checker sees it too


@pytest.mark.parametrize("name", sorted(set(NAMES) - ALIASES))
def test_every_public_name_is_documented(name: str, repo: Path) -> None:
    value = getattr(skyeye_edge, name)
    pages = [repo / "README.md", *(repo / "docs").glob("*.md"), *(repo / "examples").glob("*.py")]

    assert value.__doc__
    # dataclasses without a docstring get their signature as one
    assert not value.__doc__.startswith(f"{name}(")
    if not issubclass(value if isinstance(value, type) else object, Exception):
        assert any(re.search(rf"\b{name}\b", page.read_text("utf-8")) for page in pages)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, skyeye_edge; print(len({m.partition('.')[0] for m in sys.modules} & {HEAVY}))"
    )
    heavy = {"numpy", "PIL", "torch", "transformers", "onnxruntime", "llama_cpp", "av", "cv2"}

    done = subprocess.run(
        [sys.executable, "-c", code.replace("{HEAVY}", repr(heavy))],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "0"


def test_the_version_is_that_of_the_newest_changelog_heading(repo: Path) -> None:
    headings = re.findall(r"^## \[(\d[^\]]*)\]", (repo / "CHANGELOG.md").read_text("utf-8"), re.M)

    assert headings[0] == skyeye_edge.__version__


def test_the_command_line_page_is_what_the_program_says(repo: Path) -> None:
    command = [sys.executable, str(repo / "build_tools" / "cli_docs.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TOP)
def test_the_three_stages_stand_at_the_top_as_links(name: str, repo: Path) -> None:
    link = repo / name
    if not link.exists() and not (repo / ".git").exists():
        pytest.skip("a source archive carries no links")

    assert link.readlink().as_posix() == f"skyeye_edge/{name}"


def test_every_code_folder_is_a_package(repo: Path) -> None:
    # import-linter passes over a folder without __init__.py in silence
    bare = [
        file.parent
        for file in (repo / "skyeye_edge").rglob("*.py")
        if not (file.parent / "__init__.py").exists()
    ]

    assert bare == []


def test_ruff_reads_every_file_once(repo: Path) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--show-files", "."]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repo)

    seen = [Path(line) for line in done.stdout.splitlines()]
    code = sorted((repo / "skyeye_edge").rglob("*.py"))
    assert sorted(path for path in seen if repo / "skyeye_edge" in path.parents) == code
    assert not [path for path in seen if path.relative_to(repo).parts[0] in TOP]


def test_every_relative_link_in_the_pages_leads_somewhere(repo: Path) -> None:
    pages = [repo / "README.md", repo / "CONTRIBUTING.md", *(repo / "docs").glob("*.md")]
    targets = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    ]

    assert targets
    assert [(p.name, t) for p, t in targets if not (p.parent / t).exists()] == []


def test_no_test_fails_because_the_machine_is_slow(repo: Path) -> None:
    """A clock serves to give up on what hangs, nothing else; time is for the benchmarks."""
    measuring = re.compile(
        r"perf_counter|process_time|\btime\.time\("
        r"|return .*monotonic\(\) - |monotonic\(\) - \w+\)? *[<>]"
    )
    measured = [
        f"{file.name}: {line.strip()}"
        for file in (repo / "tests").rglob("test_*.py")
        for line in file.read_text("utf-8").splitlines()
        if measuring.search(line) and file.name != Path(__file__).name
    ]

    assert measured == []


def test_every_row_about_reliability_names_tests_that_are_there(repo: Path) -> None:
    page = (repo / "docs" / "reliability.md").read_text("utf-8").partition("\n## For an hour")[0]
    tables = [part.partition("\n\n")[0] for part in page.split("| fault |")[1:]]
    rows = [line for table in tables for line in table.splitlines()[2:]]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]

    sources = [path.read_text("utf-8") for path in (repo / "tests").rglob("test_*.py")]
    there = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}
    assert rows
    assert [row for row, names in zip(rows, named, strict=True) if not names] == []
    assert {name for names in named for name in names} - there == set()
