"""Judges are asked over HTTP; here a server on this machine grades by a rule."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skyeye_edge.cli import main
from skyeye_edge.core.errors import InputError, SkyEyeError
from skyeye_edge.evaluation import Answered, Drawing
from skyeye_edge.evaluation.judge import Judge, grade_answers, read_grade, score_agreement

KEY = "sk-nobody-may-see-this"


class Grader(BaseHTTPRequestHandler):
    """Ten for what stands among the right answers, else two; a strict one gives a point less."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.keys.append(self.headers.get("Authorization"))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        server.prompts.append(prompt)
        if server.troubles:
            self.send_response(server.troubles.pop())
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        right, said = prompt.split("Answer to grade: ")
        grade = 10 if f"- {said.splitlines()[0]}\n" in right else 2
        grade -= body["model"] == "strict"
        reply = {"choices": [{"message": {"content": f"Grade: {grade}"}}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def grader() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Grader)
    server.keys, server.prompts, server.troubles = [], [], []
    server.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, name="grader")
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def answer(number: int, said: str) -> Answered:
    return Answered(
        f"{number}#ask:0", f"{number}.jpg", "ask", asked="what is it?", references=("a boat",),
        outcome="text", said=said,
    )  # fmt: skip


ANSWERS = [answer(1, "a boat"), answer(2, "a car"), answer(3, "a boat"), answer(4, "a tree")]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(each.to_json()) + "\n" for each in ANSWERS), "utf-8")
    return file


def test_two_judges_grade_and_their_agreement_is_stated(
    grader: Any, answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("SKYEYE_JUDGE_KEY", KEY)
    out = tmp_path / "out"
    argv = ["evaluate", "--answers", str(answers), "-o", str(out), "--draws", "50"]
    argv += ["--judge", grader.address, "--judge-model", "mild"]
    argv += ["--second-judge", grader.address, "--second-judge-model", "strict"]

    assert main(argv) == 0

    tables = json.loads((out / "evaluation.json").read_text("utf-8"))["tables"]
    figures = {(t["title"], f["name"]): f for t in tables for f in t["figures"]}
    assert figures["judge mild", "mean grade"]["value"] == pytest.approx(60)
    assert figures["judge strict", "mean grade"]["value"] == pytest.approx(50)
    assert figures["mild and strict", "equal grades"]["value"] == 0
    assert figures["mild and strict", "Spearman's rank correlation"]["value"] == pytest.approx(100)
    assert f"Bearer {KEY}" in grader.keys
    assert "from 0 (nothing fits" in (out / "evaluation.md").read_text("utf-8")
    shown = capsys.readouterr()
    assert KEY not in shown.out + shown.err
    assert [file.name for file in out.iterdir() if KEY.encode() in file.read_bytes()] == []


def test_every_prompt_and_reply_is_kept_and_not_asked_twice(grader: Any, tmp_path: Path) -> None:
    path, judge = tmp_path / "judged.jsonl", Judge(grader.address, "mild")

    first = grade_answers(judge, ANSWERS, path)
    asked = len(grader.prompts)
    again = grade_answers(judge, ANSWERS, path)

    assert asked == 3  # the two right answers have the same prompt
    assert (again, len(grader.prompts)) == (first, asked)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["grade"] for line in lines] == [10, 2, 10, 2]
    assert all("Right answers:\n- a boat" in line["prompt"] for line in lines)


def test_a_busy_judge_is_asked_again(grader: Any, tmp_path: Path) -> None:
    grader.troubles += [503, 429]
    waited: list[float] = []

    found = grade_answers(
        Judge(grader.address, "mild"), ANSWERS[:1], tmp_path / "j.jsonl", wait=waited.append
    )

    assert [each.grade for each in found] == [10]
    assert waited == [0.0, 0.0]


def test_a_judge_that_refuses_is_named_without_its_secrets(grader: Any, tmp_path: Path) -> None:
    grader.troubles += [401]
    address = grader.address.replace("http://", f"http://user:{KEY}@")

    with pytest.raises(SkyEyeError, match=r"refused: HTTP 401.*SKYEYE_JUDGE_KEY") as caught:
        grade_answers(Judge(grader.address, "mild"), ANSWERS, tmp_path / "j.jsonl")

    assert KEY not in str(caught.value)
    assert KEY not in repr(Judge(address, "mild")) + Judge(address, "mild").shown


def test_a_judge_that_is_not_there_is_said_after_some_attempts(tmp_path: Path) -> None:
    waited: list[float] = []

    with pytest.raises(SkyEyeError, match="no reply after 5 attempts"):
        grade_answers(
            Judge("http://127.0.0.1:1/v1", "mild"), ANSWERS, tmp_path / "j.jsonl",
            wait=waited.append,
        )  # fmt: skip

    assert waited == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        pytest.param("7", 7, id="the number alone"),
        pytest.param("**Grade: 10**", 10, id="with marks"),
        pytest.param("8/10", 8, id="out of ten"),
        pytest.param("100", None, id="too high"),
        pytest.param("7.5", None, id="no whole number"),
        pytest.param("I cannot say", None, id="none"),
    ],
)
def test_a_grade_is_a_whole_number_up_to_ten(reply: str, grade: int | None) -> None:
    assert read_grade(reply) == grade


def test_agreement_is_that_of_textbooks() -> None:
    from skyeye_edge.evaluation.judge import Graded

    pairs = [(1, 2), (2, 2), (5, 4), (7, 9), (7, 6), (10, 10), (0, 3)]
    many = [answer(number, "x") for number in range(len(pairs))]
    first, second = (
        [Graded(each.key, name, "", "", pair[side]) for each, pair in zip(many, pairs, strict=True)]
        for side, name in enumerate(("a", "b"))
    )

    table = score_agreement(first, second, many, Drawing(0))

    # by hand: 2 of 7 equal; 1 - sum of d^2 / expected sum of d^2; Pearson of mean ranks
    equal, rho, kappa = (figure.value for figure in table.figures)
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    observed = sum((a - b) ** 2 for a, b in pairs) / 7
    expected = sum((a - b) ** 2 for a in ours for b in theirs) / 49
    assert equal == pytest.approx(100 * 2 / 7)
    assert kappa == pytest.approx(100 * (1 - observed / expected))
    assert rho == pytest.approx(87.2727, abs=1e-3)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="give an address like"):
        Judge("localhost:8000", "mild")
