"""`skyeye-edge evaluate` from annotations to the report, and from answers without a model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyeye_edge.cli import main
from skyeye_edge.evaluation import read_answers
from skyeye_edge.training.data.synthetic import render_scene


@pytest.fixture(scope="module", autouse=True)
def without_java() -> Iterator[None]:
    """METEOR takes seconds to start; test_scoring_captions.py is about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn scenes with captions, a phrase, a question and what is not there."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "annotations.jsonl").open("w") as lines:
        for number in range(3):
            scene = render_scene(1_000_000 + number)
            scene.image.save(folder / f"{number}.png")
            phrase, box = scene.phrases[0]
            question, answer = scene.questions[0]
            entry = {
                "image": f"{number}.png",
                "captions": list(scene.captions),
                "boxes": [{"bbox": list(box), "label": "thing", "phrase": phrase}],
                "question": question,
                "answer": answer,
                "absent": list(scene.absent[:1]),
                "split": "test",
            }
            print(json.dumps(entry), file=lines)
    return folder / "annotations.jsonl"


@pytest.fixture(scope="module")
def report(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert main(["evaluate", "--data", str(data), "-o", str(folder), "--draws", "50"]) == 0
    return folder


def test_every_task_that_the_data_know_is_asked_and_scored(report: Path) -> None:
    values = json.loads((report / "evaluation.json").read_text("utf-8"))

    tasks = {table["task"] for table in values["tables"]}
    assert tasks == {"caption", "ground", "absent", "detect", "ask", "identify"}
    assert len({sample["key"] for sample in values["samples"]}) == len(values["samples"])
    assert all("n" in figure for table in values["tables"] for figure in table["figures"])
    assert (report / "evaluation.md").read_text("utf-8").startswith("# annotations.jsonl")
    assert (report / "evaluation.png").stat().st_size > 0


def test_answers_are_scored_again_without_a_model(report: Path, tmp_path: Path) -> None:
    answers = str(report / "answers.jsonl")

    assert main(["evaluate", "--answers", answers, "-o", str(tmp_path), "--draws", "50"]) == 0

    again, first = (
        json.loads((folder / "evaluation.json").read_text("utf-8")) for folder in (tmp_path, report)
    )
    assert again["tables"] == first["tables"]


def test_an_interrupted_run_goes_on_and_gives_the_same_report(
    report: Path, data: Path, tmp_path: Path
) -> None:
    whole = (report / "answers.jsonl").read_bytes()
    (tmp_path / "answers.jsonl").write_bytes(whole[: int(len(whole) * 0.6)])  # in mid-line

    argv = ["evaluate", "--data", str(data), "-o", str(tmp_path), "--draws", "50", "--resume"]
    assert main(argv) == 0

    assert (tmp_path / "answers.jsonl").read_bytes() == whole
    name = "evaluation.json"
    assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_answers_are_not_overwritten_unasked(
    report: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--data", str(data), "-o", str(report)]) == 2

    assert "--resume goes on" in capsys.readouterr().err


def test_an_unreadable_image_counts_as_wrong_and_is_named(data: Path, tmp_path: Path) -> None:
    image = tmp_path / "0.png"
    image.write_bytes((data.parent / "0.png").read_bytes()[:200])
    line = {"image": "0.png", "question": "is there a boat?", "answer": "yes", "split": "test"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    out = tmp_path / "out"

    assert main(["evaluate", "--data", str(tmp_path / "a.jsonl"), "-o", str(out)]) == 0

    values = json.loads((out / "evaluation.json").read_text("utf-8"))
    (sample,) = values["samples"]
    assert (sample["outcome"], sample["score"]) == ("unanswered", {"right": 0.0})
    assert "0.png" in sample["problem"]
    assert "0.png" in (out / "evaluation.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(["-o", "x"], "give --data FILE", id="nothing to measure on"),
        pytest.param(["--data", "a", "--tasks", "cap", "-o", "x"], "known are caption", id="task"),
        pytest.param(["--answers", "no.jsonl", "-o", "x"], "no.jsonl: cannot be read", id="file"),
        pytest.param(
            ["--data", "a", "--benchmark", "Mars", "-o", "x"], "some about CapERA", id="benchmark"
        ),
    ],
)
def test_a_wrong_request_says_what_to_do(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    assert main(["evaluate", *argv]) in (1, 2)

    assert said in capsys.readouterr().err


def test_a_list_of_sets_gives_a_report_each_and_one_page_of_all(data: Path, tmp_path: Path) -> None:
    sets = [
        {"name": "words", "path": str(data), "tasks": ["ask"], "limit": 2},
        {"name": "boxes", "path": str(data), "tasks": ["ground", "absent"]},
    ]
    (tmp_path / "sets.yaml").write_text(json.dumps({"benchmarks": sets}), "utf-8")
    out = tmp_path / "out"

    argv = ["evaluate", "--data", str(tmp_path / "sets.yaml"), "-o", str(out), "--draws", "20"]
    assert main(argv) == 0

    pages = [(out / name / "evaluation.json").read_text("utf-8") for name in ("words", "boxes")]
    words, boxes = map(json.loads, pages)
    assert {sample["task"] for sample in words["samples"]} == {"ask"}
    assert len({sample["image"] for sample in words["samples"]}) == 2
    assert {sample["task"] for sample in boxes["samples"]} == {"ground", "absent"}
    page = (out / "evaluation.md").read_text("utf-8")
    assert "[words](words/evaluation.md)" in page
    assert "[boxes](boxes/evaluation.md)" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("benchmarks: [{path: a, splt: x}]", "did you mean 'split'", id="unknown key"),
        pytest.param("benchmarks: [{name: a}]", "at least a path", id="no path"),
        pytest.param("benchmarks: [{path: a, name: ../b}]", "without slashes", id="name"),
        pytest.param("benchmarks: {", "not YAML", id="no YAML"),
        pytest.param("[]", "give a list", id="no list"),
    ],
)
def test_a_wrong_list_says_where_and_what(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sets.yaml").write_text(text, "utf-8")

    assert main(["evaluate", "--data", str(tmp_path / "sets.yaml"), "-o", str(tmp_path)]) == 2

    assert said in capsys.readouterr().err


def test_ctrl_c_leaves_a_valid_file_from_which_a_run_goes_on(tmp_path: Path) -> None:
    scene = render_scene(1_000_000)
    scene.image.save(tmp_path / "0.png")
    line = {"image": "0.png", "question": "is there a boat?", "answer": "yes", "split": "test"}
    for number in range(1, 400):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / "0.png")
    rows = [json.dumps({**line, "image": f"{number}.png"}) for number in range(400)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    out = tmp_path / "out"
    argv = ["evaluate", "--data", str(tmp_path / "a.jsonl"), "-o", str(out), "--draws", "10"]

    with subprocess.Popen([sys.executable, "-m", "skyeye_edge", *argv]) as process:
        wait_for_lines(out / "answers.jsonl", 3)
        process.send_signal(signal.SIGINT)

    assert process.returncode == 130
    assert 2 <= len(read_answers(out / "answers.jsonl").answers) < 400
    assert main([*argv, "--resume"]) == 0
    assert len(read_answers(out / "answers.jsonl").answers) == 400


def wait_for_lines(path: Path, lines: int) -> None:
    limit = time.monotonic() + 300
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < limit, f"{path} did not grow"
        time.sleep(0.01)


def test_a_wrong_line_of_answers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"key": "1", "image": "1.jpg", "task": "ask", "references": ["yes"], "said": "yes"}
    bad = {"key": "2", "image": "1.jpg", "task": "ground", "truth": [[5, 5, 1, 9]]}
    file = tmp_path / "answers.jsonl"
    file.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n", "utf-8")

    assert main(["evaluate", "--answers", str(file), "-o", str(tmp_path / "out")]) == 1

    said = capsys.readouterr().err
    assert f"{file}:2:" in said
    assert "[left, top, right, bottom]" in said


def test_answers_as_the_page_shows_them_are_scored(repo: Path, tmp_path: Path) -> None:
    page = (repo / "docs" / "evaluate.md").read_text("utf-8")
    (tmp_path / "theirs.jsonl").write_text(page.split("```json\n")[1].split("```")[0], "utf-8")
    out = tmp_path / "out"

    argv = ["evaluate", "--answers", str(tmp_path / "theirs.jsonl"), "-o", str(out)]
    assert main([*argv, "--benchmark", "RSVQA-LR"]) == 0

    values = json.loads((out / "evaluation.json").read_text("utf-8"))
    figures = {(t["task"], f["name"]): f["value"] for t in values["tables"] for f in t["figures"]}
    assert figures["ground", "Acc@0.7"] == 100
    assert figures["ask", "presence"] == 100
    assert "SkyEyeGPT, test | 88.93" in (out / "evaluation.md").read_text("utf-8")
