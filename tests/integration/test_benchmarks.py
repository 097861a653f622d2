"""The benchmark of S7 runs on any video, and its last line is for programs."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from skyeye_edge.runtime.model import Model, Options
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.stream import AHEAD


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames of drifting noise."""
    path = tmp_path / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (96, 192, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for step in range(10):
            picture = np.ascontiguousarray(noise[:, step : step + 160])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))
    return path


def test_the_frame_rate_is_measured_over_a_looped_video(
    repo: Path, tiny_bundle: Path, clip: Path
) -> None:
    program = repo / "benchmarks" / "frames_per_second.py"
    command = [
        sys.executable,
        str(program),
        str(clip),
        "--frames",
        "12",
        "--bundle",
        str(tiny_bundle),
    ]

    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(repo)},
    )

    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["frames"] == 12
    assert figures["size"] == [160, 96]
    assert figures["fps"] > 0
    assert figures["ratio"] > 0
    assert figures["prefix_ratio"] > 0
    assert {"python", "onnxruntime", "llama-cpp-python"} <= set(figures["versions"])


def test_the_time_to_start_and_to_end_is_measured(repo: Path) -> None:
    command = [sys.executable, str(repo / "benchmarks" / "start_and_stop.py"), "--runs", "1"]

    done = subprocess.run(
        command, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(repo)},
    )  # fmt: skip

    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures["median_ms"]) >= {"skyeye-edge --help", "Ctrl-C to the end of watch"}


class CountingModel(Model):
    """The model, and how often it was asked."""

    asked = 0

    def submit(self, question: Question, **turn: Any) -> Future[Answer]:
        self.asked += 1
        return super().submit(question, **turn)


def test_every_answer_that_takes_time_counts_for_the_frame_rate(
    repo: Path, tiny_bundle: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(repo / "benchmarks")
    benchmark = runpy.run_path(str(repo / "benchmarks" / "frames_per_second.py"))

    with closing(CountingModel(tiny_bundle, Options())) as model:
        answers = list(benchmark["looped"](model, clip, 12))

        assert len(answers) == 12
        assert 12 <= model.asked <= 12 + AHEAD  # the next ones may be under way already


def test_a_missing_video_is_one_line_and_exit_code_2(repo: Path, tiny_bundle: Path) -> None:
    program = repo / "benchmarks" / "frames_per_second.py"
    command = [sys.executable, str(program), "nothing.mp4", "--bundle", str(tiny_bundle)]

    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repo)}
    )

    assert done.returncode == 2
    assert done.stderr.startswith("frames_per_second: nothing.mp4: there is no such file")
    assert "Traceback" not in done.stderr
