"""A recording to files: whole, interrupted, killed, resumed, and on a full disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from skyeye_edge.core.errors import InputError, MediaError, OutputError, SkyEyeError
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.tasks import Ask, Caption, Classify, Detect, Ground, Task
from skyeye_edge.runtime.captioning import Outputs, Progress, caption_file
from skyeye_edge.runtime.model import Model

TASKS: list[Task] = [Classify(("harbour", "farmland")), Ground("a boat")]
EVERY = 1.0
TICK = Fraction(1, 1000)
VOLATILE = ("id", "utc", "timing_ms")

# Another process does the same work, to be killed in the middle of it.
PROGRAM = """
import sys
from pathlib import Path
from skyeye_edge.core.tasks import Classify, Ground
from skyeye_edge.runtime.captioning import Outputs, caption_file
from skyeye_edge.runtime.model import load
bundle, video, folder, *annotate = sys.argv[1:]
outputs = Outputs.in_folder(Path(folder), "clip", annotate=bool(annotate))
tasks = [Classify(("harbour", "farmland")), Ground("a boat")]
with load(bundle) as model:
    caption_file(model, video, outputs, tasks, every=1.0)
"""


@pytest.fixture(scope="module")
def video(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo clip under a name of its own."""
    return Path(shutil.copy(demo_clip, tmp_path_factory.mktemp("video") / "clip.mp4"))


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: Model, video: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """The events of a run that nothing disturbed."""
    outputs = Outputs.in_folder(tmp_path_factory.mktemp("whole"), "clip")
    caption_file(tiny, video, outputs, TASKS, every=EVERY)
    return read(outputs.events)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file without what differs between two runs."""
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{key: event[key] for key in event if key not in VOLATILE} for event in events]


def names(folder: Path) -> list[str]:
    """The files that people see."""
    return sorted(path.name for path in folder.glob("[!.]*"))


def wait_for(path: Path, lines: int) -> None:
    limit = time.monotonic() + 300
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < limit, f"{path} did not grow"
        time.sleep(0.01)


def test_every_line_of_the_file_fits_the_shipped_schema(
    tiny: Model, video: Path, repo: Path, tmp_path: Path
) -> None:
    schema = json.loads((repo / "skyeye_edge/assets/events.schema.json").read_text("utf-8"))
    outputs = Outputs.in_folder(tmp_path, "clip")

    caption_file(tiny, video, outputs, [*TASKS, Detect("car"), Caption(), Ask("why?")], every=4.0)

    lines = [json.loads(line) for line in outputs.events.read_text("utf-8").splitlines()]
    assert {line["type"] for line in lines} == {"run", "answer", "state", "summary"}
    for line in lines:
        Draft202012Validator(schema).validate(line)


def test_a_recording_becomes_lines_subtitles_and_a_video(
    tiny: Model, video: Path, tmp_path: Path
) -> None:
    outputs = Outputs.in_folder(tmp_path / "new" / "folder", "clip", annotate=True)
    events: list[Event] = []
    progress: list[Progress] = []

    done = caption_file(
        tiny,
        video,
        outputs,
        TASKS,
        every=EVERY,
        on_event=events.append,
        on_progress=progress.append,
    )

    assert done.files == outputs.files
    assert names(outputs.events.parent) == [
        "clip.annotated.mp4",
        "clip.skyeye.jsonl",
        "clip.skyeye.srt",
        "clip.skyeye.vtt",
    ]
    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert (done.answered, done.interrupted) == (len(answers), False)
    assert 1 + len(events) == len(outputs.events.read_text("utf-8").splitlines())
    assert [p.stage for p in progress] == ["asking"] * done.answered + ["drawing"] * (
        done.counts.received
    )
    assert progress[-1].frames == progress[-1].frames_in_all == done.counts.received


@pytest.mark.parametrize(
    "cut", [pytest.param(0, id="between lines"), pytest.param(30, id="torn line")]
)
def test_a_killed_run_is_resumed_to_what_an_undisturbed_one_writes(
    cut: int,
    tiny: Model,
    tiny_bundle: Path,
    video: Path,
    tmp_path: Path,
    uninterrupted: list[dict[str, Any]],
) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip")
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle), str(video), str(tmp_path)]
    running = subprocess.Popen(command)
    wait_for(outputs.events, 4)
    running.kill()
    running.wait()
    written = outputs.events.read_bytes()
    outputs.events.write_bytes(written[: len(written) - cut])

    done = caption_file(tiny, video, outputs, TASKS, every=EVERY, resume=True)

    assert read(outputs.events) == uninterrupted
    assert outputs.events.read_bytes().startswith(written[: written.index(b"\n") + 1])
    assert done.answered == uninterrupted[-1]["answered"]
    assert outputs.vtt is not None
    assert outputs.vtt.read_text("utf-8").startswith("WEBVTT")


def test_a_finished_run_is_resumed_to_itself(
    tiny: Model, video: Path, tmp_path: Path, uninterrupted: list[dict[str, Any]]
) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip")
    asked: list[Event] = []
    caption_file(tiny, video, outputs, TASKS, every=EVERY)

    caption_file(tiny, video, outputs, TASKS, every=EVERY, resume=True, on_event=asked.append)

    assert read(outputs.events) == uninterrupted
    assert not [event for event in asked if isinstance(event, AnswerEvent)]


def test_a_kill_while_drawing_leaves_no_half_video_under_its_name(
    tiny_bundle: Path, video: Path, tmp_path: Path
) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip", annotate=True)
    part = tmp_path / "clip.annotated.mp4.part"
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle), str(video), str(tmp_path), "yes"]
    running = subprocess.Popen(command)
    limit = time.monotonic() + 300
    while not part.exists():
        assert running.poll() is None and time.monotonic() < limit
        time.sleep(0.001)
    running.kill()
    running.wait()

    assert outputs.annotated is not None
    assert not outputs.annotated.exists()
    assert outputs.vtt is not None and outputs.vtt.exists()


@pytest.mark.parametrize(
    ("tasks", "every", "message"),
    [
        pytest.param([Detect("car")], EVERY, "what is asked differs", id="other tasks"),
        pytest.param(TASKS, 0.7, "--every differs: it was 1.0, now it is 0.7", id="other interval"),
    ],
)
def test_resuming_another_run_is_refused_and_keeps_its_answers(
    tasks: list[Task], every: float, message: str, tiny: Model, video: Path, tmp_path: Path
) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip")
    caption_file(tiny, video, outputs, TASKS, every=EVERY)
    answers = [event for event in read(outputs.events) if event["type"] == "answer"]

    with pytest.raises(OutputError, match=message):
        caption_file(tiny, video, outputs, tasks, every=every, resume=True)

    assert [e for e in read(outputs.events) if e["type"] == "answer"] == answers


def test_another_flight_of_the_same_name_is_not_joined_to_the_first(
    tiny: Model, video: Path, tmp_path: Path
) -> None:
    outputs = Outputs.in_folder(tmp_path / "out", "clip")
    caption_file(tiny, video, outputs, TASKS, every=EVERY)
    before = outputs.events.read_bytes()
    other = Path(shutil.copy(video, tmp_path / "clip.mp4"))
    content = bytearray(other.read_bytes())
    content[-1] ^= 1  # of the same name and size
    other.write_bytes(content)

    with pytest.raises(OutputError, match=r"cannot resume, the video differs: it was clip\.mp4, "):
        caption_file(tiny, other, outputs, TASKS, every=EVERY, resume=True)
    with pytest.raises(OutputError, match=r"answers about another recording: clip\.mp4, "):
        caption_file(tiny, other, outputs, TASKS, every=EVERY)

    assert outputs.events.read_bytes() == before
    caption_file(tiny, other, outputs, TASKS, every=EVERY, overwrite=True)
    assert outputs.events.read_bytes() != before


FOREIGN = b"1\n00:00:00,000 --> 00:00:01,000\n[latitude: 52.5] [longitude: 13.4]\n"


@pytest.mark.parametrize(
    "name",
    [
        "clip.skyeye.srt",
        "CLIP.SkyEye.SRT",
        "clip.skyeye.vtt",
        "clip.skyeye.jsonl",
        "clip.annotated.mp4",
    ],
)
def test_what_others_wrote_is_kept_and_named(
    name: str, tiny: Model, video: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(FOREIGN)
    outputs = Outputs.in_folder(tmp_path, "clip", annotate=True)

    with pytest.raises(OutputError, match=f"{name}: would be overwritten.*--overwrite"):
        caption_file(tiny, video, outputs, TASKS, every=5.0)

    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == FOREIGN


def test_what_others_wrote_goes_if_that_is_wanted(tiny: Model, video: Path, tmp_path: Path) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip", annotate=True)
    for path in outputs.files:
        path.write_bytes(FOREIGN)

    caption_file(tiny, video, outputs, TASKS, every=5.0, overwrite=True)

    assert not [path for path in outputs.files if path.read_bytes() == FOREIGN]


def test_a_new_run_replaces_what_an_earlier_one_wrote_but_not_what_was_changed_since(
    tiny: Model, video: Path, tmp_path: Path
) -> None:
    outputs = Outputs.in_folder(tmp_path, "clip", ("jsonl", "vtt", "srt", "txt", "tsv"))
    caption_file(tiny, video, outputs, TASKS, every=5.0)
    caption_file(tiny, video, outputs, TASKS, every=4.0)
    (tmp_path / "clip.skyeye.srt").write_text("corrected by hand")

    with pytest.raises(OutputError, match=r"clip\.skyeye\.srt: .* not what skyeye-edge wrote"):
        caption_file(tiny, video, outputs, TASKS, every=5.0)

    assert (tmp_path / "clip.skyeye.srt").read_text() == "corrected by hand"


def test_an_image_that_became_unreadable_costs_no_earlier_answer(
    tiny: Model, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 48)).save(photo)
    outputs = Outputs.in_folder(tmp_path / "out", "photo", ("jsonl",))
    caption_file(tiny, photo, outputs, TASKS, every=0)
    before = outputs.events.read_bytes()
    photo.write_bytes(b"no image")

    with pytest.raises(MediaError):
        caption_file(tiny, photo, outputs, TASKS, every=0, overwrite=True)

    assert outputs.events.read_bytes() == before


def test_a_broken_video_leaves_no_file_behind(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("words")

    with pytest.raises(MediaError):
        caption_file(
            tiny, tmp_path / "clip.mp4", Outputs.in_folder(tmp_path / "out", "clip"), TASKS
        )

    assert not (tmp_path / "out").exists()


def test_a_folder_of_images_gets_subtitles_but_no_video(tiny: Model, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("b.png", "a.png"):
        Image.new("RGB", (64, 48)).save(images / name)

    done = caption_file(tiny, images, Outputs.in_folder(tmp_path, "images"), TASKS)

    assert done.answered == 2
    assert (tmp_path / "images.skyeye.srt").read_text("utf-8").count("-->") == 2
    with pytest.raises(InputError, match="only a video can be annotated"):
        caption_file(tiny, images, Outputs.in_folder(tmp_path, "x", annotate=True), TASKS)


@pytest.mark.root
def test_a_disk_that_fills_up_while_drawing_costs_only_the_video(
    tiny: Model, video: Path, small_disk: Path
) -> None:
    outputs = Outputs.in_folder(small_disk, "clip", annotate=True)

    with pytest.raises(SkyEyeError, match="disk is full") as caught:
        caption_file(tiny, video, outputs, TASKS, every=2.0)

    assert caught.value.exit_code == 1
    assert names(small_disk) == ["clip.skyeye.jsonl", "clip.skyeye.srt", "clip.skyeye.vtt"]


@pytest.mark.root
def test_a_disk_that_fills_up_while_asking_leaves_lines_to_resume_from(
    tiny: Model, video: Path, small_disk: Path, uninterrupted: list[dict[str, Any]]
) -> None:
    outputs = Outputs.in_folder(small_disk, "clip")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(40 * 1024))
    with pytest.raises(SkyEyeError, match="disk is full"):
        caption_file(tiny, video, outputs, TASKS, every=EVERY)
    assert names(small_disk) == ["ballast", "clip.skyeye.jsonl"]
    ballast.unlink()

    caption_file(tiny, video, outputs, TASKS, every=EVERY, resume=True)

    assert read(outputs.events) == uninterrupted


@pytest.mark.parametrize("change", ["turned", "variable rate", "H.265"])
def test_copies_of_a_real_clip_are_captioned_and_drawn_like_it(
    change: str, tiny: Model, shared: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "copy.mp4"
    copy_clip(shared / "data" / "clips" / "boat_hover.mp4", clip, change)
    outputs = Outputs.in_folder(tmp_path, "copy", annotate=True)

    done = caption_file(tiny, clip, outputs, TASKS, every=1.0)

    assert outputs.annotated is not None
    assert stamps(outputs.annotated) == pytest.approx(stamps(clip), abs=0.001)
    assert done.counts.received == 40
    assert size(outputs.annotated) == ((360, 640) if change == "turned" else (640, 360))


def copy_clip(source: Path, path: Path, change: str) -> None:
    """The first forty frames, turned, with uneven times, or as H.265."""
    codec = "libx265" if change == "H.265" else "libx264"
    with av.open(str(source)) as original, av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        if change == "turned":
            stream.set_display_rotation(-90)
        for number, frame in zip(range(40), original.decode(video=0), strict=False):
            frame.time_base = stream.codec_context.time_base = TICK
            frame.pts = number * 100 + (37 * number % 50 if change == "variable rate" else 0)
            frame.pict_type = 0
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def stamps(path: Path) -> list[float]:
    """Times of all frames relative to the first."""
    with av.open(str(path)) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    return [time - times[0] for time in times]


def size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.width, context.height
