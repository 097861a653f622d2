"""What the pages and help pages tell users to type is run here, or it is said where else."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.cli import ask, caption, completion, demo, doctor, ground, main
from skyeye_edge.cli import bundle as bundle_command
from skyeye_edge.cli import control as control_command
from skyeye_edge.cli import data as data_command
from skyeye_edge.cli import export as export_command
from skyeye_edge.cli import merge as merge_command
from skyeye_edge.cli import train as train_command
from skyeye_edge.cli import watch as watch_command
from skyeye_edge.cli.main import build_parser
from skyeye_edge.core.tasks import Caption
from skyeye_edge.runtime.control import Control
from skyeye_edge.runtime.control_socket import ControlSocket
from skyeye_edge.runtime.model import Model
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.training import read_scores
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.scoring import GROUPS

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]

# Commands that do not run here, and where they do.
ELSEWHERE = {
    "make test": ".ci/run",
    "make demo": ".ci/run sets up the same way; the demo itself: test_cli.py",
    "make wheels": "by hand before a release: it needs a registry and minutes",
    "make bench": "test_benchmarks_engine.py runs the quick forms; the rest by hand: 20 minutes",
    "make train-tiny": "by hand: it takes hours; its recipes are read by the tests of training",
    "pip install": "tests/packaging (wheel, bare environment); .ci/run (all extras)",
    "source .venv/bin/activate": "a shell's own business",
    "ffmpeg": "a sender for people; test_cli.py has its own",
    "gst-launch-1.0": "test_video_sinks.py, without a window",
    "ffplay": "test_video_sinks.py, with ffprobe",
    "mosquitto_sub": "test_all_sinks.py",
    "skyeye-edge watch": "test_cli.py, against a sender on this machine",
    "skyeye-edge replay": "test_replay_command.py, of a sender on this machine",
    "python examples/": "test_examples.py",
    "python benchmarks/alerts.py": "test_benchmarks_engine.py runs the quick form",
    "python benchmarks/run_all.py": "test_benchmarks_engine.py runs the quick forms",
    "python benchmarks/tables.py": "test_benchmarks_engine.py, over those results",
    "python benchmarks/ablations.py": "by hand: forty minutes; figures in docs/ablations.md",
    "python benchmarks/full_size.py": "by hand: an hour and 45 GB; figures in docs/full_size.md",
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page, also indented ones."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text("utf-8"), re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def commands(page: Path) -> list[str]:
    """The lines of the console blocks."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [line for line in lines if line.strip()]


def run(command: str) -> int:
    program, *argv = shlex.split(command)
    assert program == "skyeye-edge"
    return main(argv)


def is_quick(command: str) -> bool:
    """Runs in seconds, with nothing but a clip and a photo; the rest has tests of its own."""
    return command.startswith("skyeye-edge ") and not re.search(
        r"\bmy[-_]| watch | control | replay ", command
    )


EPILOG = [line.strip() for line in (build_parser().epilog or "").splitlines()]
EXAMPLES = [
    line
    for each in (caption, ground, ask, demo, doctor, bundle_command, completion)
    for line in each.EXAMPLES
]
QUICK = sorted(
    {
        line
        for line in [*EPILOG, *EXAMPLES, *(line for page in PAGES for line in commands(page))]
        if is_quick(line)
    }
)


@pytest.fixture(scope="module")
def desk(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages assume to lie in front of the user."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(demo_clip, folder / "flight.mp4")
    render_scene(1_000_000).image.save(folder / "photo.jpg")
    (folder / "checkpoints").symlink_to(REPO / "checkpoints")
    (folder / "my_images").mkdir()
    with (folder / "my_images" / "annotations.jsonl").open("w") as lines:
        for number in range(10):
            scene = render_scene(2_000_000 + number)  # not those that `train` scores
            scene.image.save(folder / "my_images" / f"{number}.png")
            phrase, box = scene.phrases[0]
            entry = {
                "image": f"{number}.png",
                "captions": [scene.captions[0]],
                "boxes": [{"bbox": list(box), "label": "thing", "phrase": phrase}],
            }
            print(json.dumps(entry), file=lines)
    return folder


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(desk)
    yield desk


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_ours_or_known_to_run_elsewhere(page: Path) -> None:
    known = ("skyeye-edge ", *ELSEWHERE)

    assert [line for line in commands(page) if not line.startswith(known)] == []


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python")],
    ids=lambda page: page.name,
)
def test_the_python_of_a_page_runs_in_its_order_and_prints_answers(
    page: Path, at_desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}

    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)

    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", QUICK)
def test_a_command_of_the_pages_runs(command: str, at_desk: Path) -> None:
    assert run(command) == 0


@pytest.fixture
def controlled(tiny: Model, at_desk: Path) -> Iterator[None]:
    """A stream that listens at control.sock and has had a picture."""
    camera = Push()
    camera.push(np.zeros((36, 64, 3), np.uint8), time=0.0)
    with (
        tiny.streams([camera], [Caption()], every=0) as streams,
        ControlSocket(Path("control.sock"), Control(streams, at_desk)),
    ):
        next(streams)
        yield


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            *control_command.EXAMPLES,
            *(line for page in PAGES for line in commands(page) if "-edge control " in line),
        }
    ),
)
def test_a_command_to_a_stream_that_runs_is_obeyed(command: str, controlled: None) -> None:
    assert run(re.sub(r"/\S+", "control.sock", command)) == 0


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            *data_command.EXAMPLES,
            *(line for line in commands(REPO / "docs" / "data.md") if "data " in line),
        }
    ),
)
def test_a_data_command_of_the_pages_runs(command: str, at_desk: Path) -> None:
    assert run(command) == 0


def test_the_examples_of_watch_differ_from_the_tested_command_in_the_port_alone() -> None:
    assert all(" udp://127.0.0.1:" in example for example in watch_command.EXAMPLES)


@pytest.mark.timeout(900)
def test_ten_own_images_become_a_bundle_by_following_the_readme(at_desk: Path) -> None:
    (recipe,) = blocks(REPO / "README.md", "yaml")
    # Fewer steps and pictures: how much is learnt and kept is another test's business.
    short = recipe.replace("steps: 100", "steps: 8").replace("scenes: 200", "scenes: 10")
    Path("my_recipe.yaml").write_text(f"scored: 4\n{short}")
    chain = [line for line in commands(REPO / "README.md") if "my-" in line or "my_" in line]
    # Ten images are too few to calibrate with; test_export.py does that.
    page = [line for line in commands(REPO / "docs" / "export.md") if "--calibrate" not in line]
    export_page = page[1:]
    rest = [*train_command.EXAMPLES[1:], *merge_command.EXAMPLES[1:], *bundle_command.EXAMPLES[1:]]

    assert [run(command) for command in chain] == [0, 0, 0, 0]
    assert [run(command) for command in [*rest, *export_page]] == [0] * 6
    assert {change.group for change in read_scores(Path("runs/my-model")).changes()} == set(GROUPS)
    assert set(export_command.EXAMPLES) <= {*chain, *commands(REPO / "docs" / "export.md")}


def test_readme_and_training_page_have_the_same_recipe_and_commands() -> None:
    readme, page = REPO / "README.md", REPO / "docs" / "train.md"

    assert blocks(readme, "yaml") == blocks(page, "yaml")
    assert {line for line in commands(readme) if "my_" in line} <= set(commands(page))


@pytest.mark.parametrize("page", [REPO / "README.md", REPO / "docs" / "train.md"])
def test_the_annotations_of_a_page_are_read(page: Path, tmp_path: Path) -> None:
    from PIL import Image

    from skyeye_edge.training.data.readers import read_annotations

    (lines,) = blocks(page, "json")
    (tmp_path / "annotations.jsonl").write_text(lines)
    for name in re.findall(r'"image": "([^"]+)"', lines):
        Image.new("RGB", (128, 128)).save(tmp_path / name)

    found = read_annotations(tmp_path / "annotations.jsonl", "lines", "train")

    assert len(found) == len(re.findall("image", lines)) - lines.count('"val"')
