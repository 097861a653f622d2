"""The benchmarks of the engine run for real, a few frames each; none of them is judged by time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(repo: Path, name: str, *arguments: str) -> dict[str, Any]:
    """The last line of a benchmark on the packaged model."""
    done = subprocess.run(
        [sys.executable, str(repo / "benchmarks" / f"{name}.py"), *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repo)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert figures["benchmark"] == name
    assert {"machine", "versions", "date", "command"} <= set(figures)
    assert figures["ratio"] > 0
    return figures


def test_tasks_about_a_frame_are_compared_with_asking_for_each_alone(repo: Path) -> None:
    figures = run(repo, "frame_tasks", "--quick")

    assert set(figures["ratios"]) == {"apart"}
    assert figures["tokens_per_frame"]["ours"] == figures["tokens_per_frame"]["apart"]
    assert set(figures["steps_ms_per_frame"]["ours"]) == {
        "preprocess", "encode", "prefill", "generate"
    }  # fmt: skip


def test_a_peer_that_is_not_there_is_named_with_what_makes_it(repo: Path, tmp_path: Path) -> None:
    program = repo / "benchmarks" / "frame_tasks.py"
    arguments = ["--peers", "libmtmd", "--bench-env", str(tmp_path), "--blocks", "1"]

    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repo)},
    )  # fmt: skip

    assert done.returncode == 2
    assert "run build_tools/bench_env.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_calls_of_both_libraries_are_counted_and_timed(repo: Path) -> None:
    figures = run(repo, "overhead", "--quick")

    assert figures["as shipped"]["encode_calls"] == 1
    assert figures["in turn"]["decode_calls"] >= 5
    assert 0 < figures["in_turn"] < 1  # a part of the whole


def test_drafts_are_compared_with_none_answer_by_answer(repo: Path) -> None:
    figures = run(repo, "drafts", "--quick")

    calls = figures["decode_calls_per_frame"]
    assert figures["different"] == 0
    assert 0 < calls["with"] <= calls["without"]


def test_streams_side_by_side_are_counted_apart(repo: Path) -> None:
    figures = run(repo, "streams", "--quick")

    assert set(figures["streams"]) == {"1", "2"}
    assert all(0 < each["p50_age_ms"] <= each["p95_age_ms"] for each in figures["streams"].values())


def test_the_frame_rate_is_set_against_that_of_an_older_revision(
    repo: Path, demo_clip: Path
) -> None:
    if subprocess.run(["git", "-C", repo, "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("not a checkout of git")
    small = ["--frames", "4", "--turns", "1", "--turn", "2"]

    figures = run(repo, "frames_per_second", str(demo_clip), *small, "--against", "HEAD")

    assert set(figures["fps_against"]) == {"ours", "HEAD"}


def test_products_of_matrices_and_the_memory_bound_both_halves(repo: Path) -> None:
    figures = run(repo, "roofline", "--quick")

    assert figures["encode"]["products"] > 0
    assert figures["decode"]["weights_mib"] > 1
    assert figures["encode"]["gflop"] > 0


def test_results_of_a_run_become_tables_and_plots(repo: Path, tmp_path: Path) -> None:
    page, live = tmp_path / "page.md", tmp_path / "reliability.md"
    marks = "<!-- written by benchmarks/tables.py -->", "<!-- end of what tables.py writes -->"
    for each in (page, live):
        each.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nbehind\n")
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    words = ["-o", str(tmp_path), "--quick", "--only", "streams,overhead,reliability"]
    programs = repo / "benchmarks"

    subprocess.run([sys.executable, programs / "run_all.py", *words], check=True, env=environment)
    tables = [sys.executable, str(programs / "tables.py"), str(tmp_path), "--page", str(page)]
    subprocess.run(tables, check=True, env=environment)

    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("behind\n")
    assert "old" not in text.splitlines()
    assert "`benchmarks/overhead.py --quick`" in text
    assert (tmp_path / "images" / "streams.svg").is_file()
    assert "| glass to event, p99 |" in live.read_text()
    assert (tmp_path / "images" / "reliability.svg").is_file()


def test_alerts_of_visits_are_counted(repo: Path) -> None:
    figures = run(repo, "alerts", "--quick")

    assert {sum(outcomes.values()) for outcomes in figures["visits"].values()} == {2}


def test_the_gate_sees_what_appears_while_it_saves_encodings(repo: Path) -> None:
    figures = run(repo, "gating", "--quick")

    assert [figures[clip]["missed"] for clip in ("hover", "pan", "fast")] == [0, 0, 0]
    assert figures["hover"]["encodes"] < figures["hover"]["frames"]
    assert figures["fast"]["saved"] <= figures["hover"]["saved"]


def test_the_front_page_takes_its_figures_from_the_results(repo: Path, tmp_path: Path) -> None:
    if subprocess.run(
        ["git", "-C", repo, "cat-file", "-e", "a65e365"], capture_output=True
    ).returncode:
        pytest.skip("a checkout without the revision that is compared with")
    marks = "<!-- written by benchmarks/tables.py -->", "<!-- end of what tables.py writes -->"
    (tmp_path / "page.md").write_text("\n".join(marks))
    (tmp_path / "front.md").write_text("# Front\n\n## Measured\n\n30.8 frames/s\n\n## Next\n")
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    programs = repo / "benchmarks"
    words = ["-o", str(tmp_path), "--quick", "--only", "frames_per_second"]
    pages = ["--page", str(tmp_path / "page.md"), "--readme", str(tmp_path / "front.md")]

    subprocess.run([sys.executable, programs / "run_all.py", *words], check=True, env=environment)
    tables = [sys.executable, str(programs / "tables.py"), str(tmp_path), *pages]
    subprocess.run(tables, check=True, env=environment)

    front = (tmp_path / "front.md").read_text()
    assert "30.8" not in front
    assert "frames/s on two cores" in " ".join(front.split())
    assert front.endswith("\n## Next\n")
