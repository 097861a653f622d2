"""`watch --record` and `replay`, as people use them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import skyeye_edge as sky
from skyeye_edge.core.bundle import PACKAGED
from skyeye_edge.runtime.recording import find_recordings, read_recording
from skyeye_edge.runtime.replay import comparable, kept_of, replayed
from skyeye_edge.runtime.watching import StreamOptions
from tests.integration.live.watching import Sender

CLI = [sys.executable, "-m", "skyeye_edge"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *map(str, words)], capture_output=True, text=True)


def watch(url: str, folder: Path, answers: int, *words: str) -> list[dict[str, object]]:
    """The events of `watch --record`, which is asked to end after so many answers."""
    command = [*CLI, "watch", url, "--record", str(folder), "--json", "--every", "0", *words]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    events, asked = [], 0
    assert job.stdout is not None
    for line in job.stdout:
        events.append(json.loads(line))
        asked += events[-1]["type"] == "answer"
        if asked == answers:
            job.terminate()
    assert job.wait() == 0
    return events


@pytest.fixture
def flight(udp_sender: Callable[[], Sender], port: int, tmp_path: Path) -> Path:
    """A recording of ten answers."""
    udp_sender()
    watch(f"udp://127.0.0.1:{port}", tmp_path / "flight", 10, "--no-gate", "--phrase", "a line")
    return tmp_path / "flight"


def test_a_recorded_flight_is_the_same_again_and_another_model_is_compared(
    flight: Path, tmp_path: Path
) -> None:
    same = run("replay", flight)
    other = tmp_path / "other"
    shutil.copytree(PACKAGED, other)
    manifest = json.loads((other / "manifest.json").read_text("utf-8"))
    manifest["vision"]["preprocess"]["mean"] = [0.9, 0.1, 0.9]  # it sees everything in odd colours
    (other / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    compared = run("replay", flight, "--model", other, "--json")
    shown = run("replay", flight, "--model", other)

    assert (same.returncode, "the same: " in same.stderr) == (0, True), same.stderr
    assert compared.returncode == 0, compared.stderr
    assert "answers differ" in compared.stderr
    for line in compared.stdout.splitlines():
        values = json.loads(line)
        assert values["was"] != values["now"]
        assert len(values["was"]) == len(values["now"])
    assert len(shown.stdout.splitlines()) >= len(compared.stdout.splitlines())


def test_what_is_not_as_it_was_is_shown_and_fails(flight: Path) -> None:
    (events,) = flight.glob("*/events.jsonl")
    lines = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    answer = next(line for line in lines if line["type"] == "answer")
    answer["results"][0]["text"] = "a purple elephant"
    events.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    done = run("replay", flight)

    assert done.returncode == 1
    assert "purple elephant" in done.stderr
    assert "NOT the same: 1 of" in done.stderr


def test_a_changed_bundle_is_not_taken_for_the_recorded_one(flight: Path) -> None:
    (facts,) = flight.glob("*/recording.json")
    values = json.loads(facts.read_text("utf-8"))
    values["model"]["bundle_sha256"] = "0" * 64
    facts.write_text(json.dumps(values), "utf-8")

    done = run("replay", flight)

    assert done.returncode == 1
    assert "another bundle than the one of the recording" in done.stderr


def test_a_folder_without_recordings_says_how_to_make_one(tmp_path: Path) -> None:
    done = run("replay", tmp_path)

    assert done.returncode == 2
    assert "skyeye-edge watch URL --record DIR" in done.stderr


def test_a_watched_file_is_not_copied_but_known_by_its_hash(
    demo_clip: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(demo_clip, clip)
    done = run("watch", clip, "--every", "2", "--record", tmp_path / "flight")
    same = run("replay", tmp_path / "flight")
    shutil.copy(PACKAGED / "manifest.json", clip)
    gone = run("replay", tmp_path / "flight")

    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "flight").glob("*/packets"))
    assert (same.returncode, "the same: " in same.stderr) == (0, True), same.stderr
    assert gone.returncode == 1
    assert "the video of this recording is gone" in gone.stderr


def test_clips_of_a_file_are_the_same_again(
    tiny_for_clips: sky.Model, demo_clip: Path, tmp_path: Path
) -> None:
    options: StreamOptions = {"every": 1, "clip": 3, "record": tmp_path}
    with tiny_for_clips.stream(demo_clip, [sky.Caption()], **options) as stream:
        events = [comparable(event) for event in stream]

    recording = read_recording(*find_recordings(tmp_path))
    model = tiny_for_clips
    with replayed(recording, kept_of(recording), model.submit, model.description) as stream:
        assert [comparable(event) for event in stream] == events
