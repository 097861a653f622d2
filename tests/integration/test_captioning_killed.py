"""Captioning that is killed at random moments: valid to then, and resumed without a difference."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

LIMIT = 300.0  # seconds after which something hangs: no machine is so busy
VOLATILE = ("id", "utc", "timing_ms")
FEW, MANY = 3, 50  # moments


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """What a file says; a last line that is torn is left out, any other would fail."""
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def without_volatile(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: event[key] for key in event if key not in VOLATILE} for event in events]


def pictures_in(path: Path) -> int:
    """Pictures of a video."""
    with av.open(str(path)) as opened:
        return sum(1 for _ in opened.decode(video=0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of a square that wanders, small, so that a run is short."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(80):
            rgb = np.full((96, 160, 3), 90, np.uint8)
            rgb[20:60, number : number + 40] = (200, 30 + 2 * number, 60)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def caption_command(clip: Path, folder: Path) -> list[str]:
    asked = ["--every", "0.5", "--phrase", "a boat", "-f", "vtt,srt,jsonl", "--annotate"]
    program = [sys.executable, "-m", "skyeye_edge", "caption", "--quiet"]
    return [*program, str(clip), "-o", str(folder), *asked]


@pytest.fixture(scope="module")
def undisturbed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(caption_command(clip, folder), check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    "number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_captioning_that_is_killed_is_resumed_to_what_an_undisturbed_run_writes(
    number: int, clip: Path, undisturbed: Path, tmp_path: Path
) -> None:
    wanted = without_volatile(whole_lines(undisturbed / "clip.skyeye.jsonl"))
    chance = random.Random(number)
    cut_short = 0
    for moment in range(number):
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        events = folder / "clip.skyeye.jsonl"
        running = subprocess.Popen(caption_command(clip, folder), stdout=subprocess.DEVNULL)
        lines = chance.randint(0, len(wanted))
        wait_until(lambda r=running, e=events, n=lines: r.poll() is not None or lines_in(e) >= n)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.5) if lines == len(wanted) else chance.uniform(0, 0.02))
        running.kill()
        running.wait()

        found = without_volatile(whole_lines(events))
        assert found == wanted[: len(found)]  # valid to that moment
        cut_short += len(found) < len(wanted)
        for name in ("clip.skyeye.vtt", "clip.skyeye.srt", "clip.annotated.mp4"):
            left = folder / name  # whole, or not there
            assert not left.exists() or left.stat().st_size == (undisturbed / name).stat().st_size

        resumed = [*caption_command(clip, folder), "--resume"]
        subprocess.run(resumed, check=True, capture_output=True)
        assert without_volatile(whole_lines(events)) == wanted
        for name in ("clip.skyeye.vtt", "clip.skyeye.srt"):
            assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
        assert pictures_in(folder / "clip.annotated.mp4") == 80
        assert sorted(path.name for path in folder.glob("[!.]*")) == sorted(
            path.name for path in undisturbed.glob("[!.]*")
        )
        shutil.rmtree(folder)
    assert cut_short > 0  # or nothing was tried
