from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from skyeye_edge.cli.doctor import RIVALS, rival_problems
from skyeye_edge.core.install import pip


def test_rival_distributions_are_told_with_the_way_out() -> None:
    found = {"onnxruntime": "1", "onnxruntime-gpu": "1", "opencv-python": "5"}

    (problem,) = rival_problems(found)

    assert "share one module" in problem
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in problem


def test_one_of_each_is_no_problem() -> None:
    assert list(rival_problems({"onnxruntime": "1", "opencv-python-headless": "5"})) == []


def test_every_command_that_is_told_can_be_run_by_a_shell() -> None:
    found = {name: "1" for row in RIVALS for name in row}

    commands = [problem.partition("run: ")[2] for problem in rival_problems(found)]

    assert len(commands) == len(RIVALS)
    assert not [command for command in commands if "<" in command]
    assert all(command.count(f"{pip()} ") == 2 for command in commands)


def test_where_nothing_is_installed_it_says_what_to_install(repo: Path) -> None:
    checkout_only = [sys.executable, "-S", "-m", "skyeye_edge", "doctor"]  # -S: no site-packages

    done = subprocess.run(
        checkout_only, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(repo)},
    )  # fmt: skip

    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert done.returncode == 1, done.stderr
    assert len(problems) == 1
    assert f"{repo}[runtime]" in problems[0]
    assert done.stderr == ""
