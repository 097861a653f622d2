from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from skyeye_edge.cli.main import main
from skyeye_edge.training.data.synthetic import render_scene


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three annotated scenes, one of them in split val."""
    lines = []
    for seed, split in enumerate(("train", "train", "val")):
        render_scene(seed, size=96).image.save(tmp_path / f"{seed}.png")
        box = {"bbox": [1, 2, 40, 50], "label": "car"}
        lines.append({"image": f"{seed}.png", "boxes": [box], "captions": ["x ."], "split": split})
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_check_exits_with_0_where_nothing_is_wrong(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(own)]) == 0
    assert capsys.readouterr() == ("", "3 entries, 3 images: no findings\n")


def test_check_exits_with_1_and_names_file_and_line(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own.open("a") as lines:
        lines.write('{"image": "none.png", "captions": ["x ."]}\n')

    assert main(["data", "check", str(own)]) == 1
    assert capsys.readouterr().out.startswith(f"{own}:4: entry: there is no image")


def test_check_tells_machines_in_json(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = tmp_path / "test"
    test.mkdir()
    with Image.open(tmp_path / "1.png") as image:
        image.crop((3, 2, 93, 94)).resize((130, 130)).save(test / "copy.jpg", quality=70)

    assert main(["data", "check", str(own), "--against", str(test), "--json", "--quiet"]) == 1
    out, err = capsys.readouterr()
    (finding,) = map(json.loads, out.splitlines())
    assert {key: finding[key] for key in ("file", "line", "kind")} == {
        "file": str(own),
        "line": 2,
        "kind": "leak",
    }
    assert "copy.jpg" in finding["message"] and err == ""


def test_stats_are_told_per_split(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(own), "--json"]) == 0
    told = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [(each["set"], each["split"], each["images"]) for each in told] == [
        ("own.jsonl", "train", 2),
        ("own.jsonl", "val", 1),
    ]


def test_what_is_built_can_be_checked(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = own.with_name("built.jsonl")

    assert main(["data", "build", str(own), "-o", str(built), "--number", "2", "--quiet"]) == 0
    assert main(["data", "check", str(built)]) == 0
    assert len(built.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["build"], "-o FILE.jsonl", id="no output"),
        pytest.param(["stats", "--format", "excel"], "known are lines, captions", id="format"),
        pytest.param(["stats", "--tokenizer", "none"], "no tokenizer", id="tokenizer"),
    ],
)
def test_a_wrong_request_exits_with_2(
    own: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    action, *rest = options

    assert main(["data", action, str(own), *rest]) == 2
    assert says in capsys.readouterr().err
