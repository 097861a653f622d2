"""The command line over the packaged model, as users meet it."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from skyeye_edge import AnswerEvent, parse_event
from skyeye_edge.cli import main
from skyeye_edge.cli.lines import answers_text
from skyeye_edge.runtime.vision.onnx import has_cuda
from skyeye_edge.training.data.synthetic import render_scene

TEXT_NAMED_MP4 = b"this is no video\n" * 100


@pytest.fixture
def folder(tmp_path: Path, demo_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a clip and a photo."""
    shutil.copy(demo_clip, tmp_path / "flight.mp4")
    render_scene(1_000_000).image.save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bundle(tiny_bundle: Path) -> list[str]:
    """The options that choose the tested bundle."""
    return ["--bundle", str(tiny_bundle)]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts the program; what still runs at the end of the test is killed."""
    jobs: list[subprocess.Popen[str]] = []

    def begin(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "skyeye_edge", *argv]
        job = subprocess.Popen(command, cwd=folder, stdout=-1, stderr=-1, text=True)
        jobs.append(job)
        return job

    yield begin
    for job in jobs:
        job.kill()
        job.communicate()


def wait_for(ready: Callable[[], bool], seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_demo_writes_its_five_files_and_says_where(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *bundle]) == 0

    out = capsys.readouterr().out
    names = ("events.jsonl", "captions.vtt", "captions.srt", "annotated.mp4", "frame.png")
    assert sorted(path.name for path in (folder / "out/demo").glob("[!.]*")) == sorted(names)
    assert all(f"out/demo/{name}" in out for name in names)
    assert "commercial_use: false" in out


def test_an_image_gives_one_line(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "photo.jpg", "--phrase", "a car", *bundle]) == 0

    captured = capsys.readouterr()
    assert captured.err == ""
    (line,) = captured.out.splitlines()
    assert line.startswith("photo.jpg: ")
    assert " | a car: " in line


def test_json_gives_one_object_per_line(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "photo.jpg", "--question", "Is it day?", "--json", *bundle]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["type"], event["source"]) == ("answer", "photo.jpg")
    assert event["results"][0]["question"] == "Is it day?"


def test_an_annotated_image_is_a_picture_of_the_same_size(folder: Path, bundle: list[str]) -> None:
    command = ["ground", "photo.jpg", "--phrase", "a car", "--annotate", "-o", "out", *bundle]

    assert main(command) == 0

    with Image.open("out/photo.annotated.png") as drawn, Image.open("photo.jpg") as photo:
        assert drawn.size == photo.size


def test_a_video_gives_a_line_per_asked_frame_and_all_its_files(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "flight.mp4", "--every", "5", "-o", "out", *bundle]) == 0

    captured = capsys.readouterr()
    events = [json.loads(line) for line in Path("out/flight.skyeye.jsonl").read_text().splitlines()]
    answers = [event for event in events if event["type"] == "answer"]
    assert len(captured.out.splitlines()) == len(answers) > 1
    assert events[-1]["type"] == "summary"
    assert events[-1]["received"] == events[-1]["answered"] + events[-1]["skipped"]
    assert Path("out/flight.skyeye.vtt").exists()
    assert Path("out/flight.skyeye.srt").exists()
    assert "out/flight.skyeye.jsonl" in captured.err


def test_the_telemetry_of_the_drone_beside_the_video_stays_as_it_is(
    folder: Path, bundle: list[str]
) -> None:
    Path("flight.mp4").rename("DJI_0001.MP4")
    telemetry = b"1\n00:00:00,000 --> 00:00:00,033\n[latitude: 52.52] [longitude: 13.40]\n"
    beside = [Path(name) for name in ("DJI_0001.SRT", "DJI_0001.srt", "dji_0001.srt")]
    for path in beside:
        path.write_bytes(telemetry)

    assert main(["caption", "DJI_0001.MP4", "--every", "9", *bundle]) == 0

    assert [path.read_bytes() for path in beside] == [telemetry] * len(beside)
    assert Path("DJI_0001.skyeye.srt").exists()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["caption", "flight.mp4", "--every", "9"], "FLIGHT.SKYEYE.SRT"),
        (["caption", "photo.jpg", "--annotate"], "photo.annotated.png"),
        (["demo", "-o", "."], "captions.srt"),
        (["demo", "-o", "."], "frame.png"),
    ],
)
def test_what_others_wrote_is_replaced_only_if_that_is_wanted(
    command: list[str],
    name: str,
    folder: Path,
    bundle: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(name).write_bytes(b"mine")
    before = sorted(folder.iterdir())

    assert main([*command, *bundle]) == 2

    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"{name}: would be overwritten" in captured.err
    assert "--overwrite" in captured.err
    assert sorted(folder.iterdir()) == before
    assert Path(name).read_bytes() == b"mine"
    assert main([*command, "--overwrite", *bundle]) == 0


@pytest.mark.parametrize("formats", ["jsonl", "txt,tsv"])
def test_an_image_is_written_in_the_formats_that_are_asked_for(
    formats: str, folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "photo.jpg", "-o", "out", "-f", formats, *bundle]) == 0

    captured = capsys.readouterr()
    wanted = {f"photo.skyeye.{kind}" for kind in ("jsonl", *formats.split(","))}
    assert {path.name for path in Path("out").glob("[!.]*")} == wanted
    assert all(f"out/{name}" in captured.err for name in wanted)
    lines = Path("out/photo.skyeye.jsonl").read_text("utf-8").splitlines()
    (answer,) = [event for line in lines if isinstance(event := parse_event(line), AnswerEvent)]
    assert captured.out == f"photo.jpg: {answers_text(answer)}\n"


def test_a_video_is_written_as_words_and_as_a_table(folder: Path, bundle: list[str]) -> None:
    command = ["caption", "flight.mp4", "--every", "5", "--phrase", "a car", "-f", "txt,tsv"]

    assert main([*command, *bundle]) == 0

    words = Path("flight.skyeye.txt").read_text("utf-8").splitlines()
    head, *rows = Path("flight.skyeye.tsv").read_text("utf-8").splitlines()
    assert len(words) > 1
    assert head.split("\t")[:3] == ["source", "time", "frame"]
    assert [row for row in rows if "\tcaption\t" in row][1].startswith("flight.mp4\t5.0")
    assert not Path("flight.skyeye.srt").exists()


def test_images_have_no_subtitles(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "photo.jpg", "-f", "srt", *bundle]) == 2
    assert "images have jsonl,txt,tsv only" in capsys.readouterr().err


def test_quiet_says_nothing_but_the_answers(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "flight.mp4", "--every", "9", "--quiet", *bundle]) == 0

    assert capsys.readouterr().err == ""


def test_a_folder_is_captioned_image_by_image_and_a_broken_one_does_not_stop_it(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("flight.mp4").unlink()
    Path("broken.png").write_bytes(b"no png")

    assert main(["caption", ".", *bundle]) == 1

    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    assert captured.out.startswith("photo.jpg: ")


@pytest.fixture
def pictures(shared: Path) -> list[Path]:
    """Real satellite pictures."""
    return sorted((shared / "data" / "rsicd" / "images").iterdir())[:18]


def test_two_folders_with_bad_files_are_answered_as_far_as_possible(
    folder: Path,
    bundle: list[str],
    pictures: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    good: list[str] = []
    for number, image in enumerate(pictures):
        name = f"{'AB'[number // 9]}/{number % 9}{image.suffix}"
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(image, name)
        good.append(name)
    for name in ("A", "B"):
        shutil.copy("flight.mp4", f"{name}/flight.mp4")
        Path(name, "3damaged.jpg").write_bytes(pictures[0].read_bytes()[:200])
        Path(name, "notes.txt").write_text("words")
        Path(name, "4link.jpg").symlink_to("nowhere.jpg")
    good = [*good[:9], "A/flight.mp4", *good[9:], "B/flight.mp4"]

    code = main(["caption", "A", "B", "--every", "9", "--annotate", "-o", "out", *bundle])

    captured = capsys.readouterr()
    answered = [line.partition(": ")[0] for line in captured.out.splitlines()]
    assert code == 1
    assert list(dict.fromkeys(answered)) == good
    *_, last = captured.err.splitlines()
    assert last == (
        "20 of 24 files answered; not: A/3damaged.jpg, A/4link.jpg, B/3damaged.jpg, B/4link.jpg; "
        "2 left alone, no image or video"
    )
    assert captured.err.count("\nskyeye-edge: ") + captured.err.startswith("skyeye-edge: ") == 4
    stems = {f"out/{Path(name).with_suffix('')}" for name in good}
    drawn = {str(path).partition(".")[0] for path in Path("out").rglob("*.annotated.*")}
    assert drawn == stems
    assert {path.parent.name for path in Path("out").rglob("flight.skyeye.srt")} == {"A", "B"}


def test_a_folder_named_like_an_image_is_a_folder(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.jpg").mkdir()
    Path("photo.jpg").rename("x.jpg/photo.jpg")
    shutil.copy("x.jpg/photo.jpg", "outside.jpg")
    Path("flight.mp4").unlink()

    assert main(["caption", "x.jpg/", *bundle]) == 0
    assert main(["caption", ".", *bundle]) == 0
    assert main(["caption", ".", "--recursive", *bundle]) == 0

    named = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert named == ["x.jpg/photo.jpg", "outside.jpg", "outside.jpg", "x.jpg/photo.jpg"]


def test_boxes_below_the_lowest_score_are_left_out(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ground", "photo.jpg", "--phrase", "sea", *bundle]

    assert [main(command), main([*command, "--min-score", "1"])] == [0, 0]

    found, left_out = capsys.readouterr().out.splitlines()
    assert found[-1] == ")"  # a box and its score
    assert left_out == "photo.jpg: sea: uncertain"


def test_the_device_that_is_asked_for_is_insisted_on(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if has_cuda():
        pytest.skip("there is a GPU")

    assert main(["caption", "photo.jpg", "--device", "cpu", "--threads", "1", *bundle]) == 0
    assert main(["caption", "photo.jpg", "--device", "cuda", *bundle]) == 1
    assert "cuda" in capsys.readouterr().err.lower()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("text.mp4", lambda clip: TEXT_NAMED_MP4, id="a text file named mp4"),
        pytest.param("empty.mp4", lambda clip: b"", id="an empty file"),
        pytest.param("photo.png", lambda clip: TEXT_NAMED_MP4, id="a text file named png"),
    ],
)
def test_unusable_content_is_one_clear_line_and_1(
    name: str,
    content: Callable[[bytes], bytes],
    folder: Path,
    bundle: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(name).write_bytes(content(Path("flight.mp4").read_bytes()))

    code = main(["caption", name, "--every", "5", *bundle])

    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert captured.err.startswith(f"skyeye-edge: {name}")
    assert captured.err.count("\n") == 1


def test_a_video_of_zero_frames_is_one_clear_line_and_1(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with av.open("zero.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()

    assert main(["caption", "zero.mp4", "--annotate", *bundle]) == 1

    captured = capsys.readouterr()
    assert captured.err.startswith("skyeye-edge: zero.mp4: ")
    assert captured.err.count("\n") == 1
    assert not list(folder.glob("zero.annotated*"))


def test_a_question_longer_than_the_context_is_one_clear_line_and_2(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    question = "is it a boat or " * 2000

    assert main(["ask", "photo.jpg", "--question", question, *bundle]) == 2

    captured = capsys.readouterr()
    assert "context" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_truncated_video_is_answered_as_far_as_it_goes_and_ends_with_1(
    quiet: list[str], folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # the index in front, so that the beginning can be decoded
    front = {"movflags": "faststart"}
    with av.open("flight.mp4") as source, av.open("cut.mp4", "w", options=front) as cut:
        video = source.streams.video[0]
        copy = cut.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                cut.mux(packet)
    content = Path("cut.mp4").read_bytes()
    Path("cut.mp4").write_bytes(content[: len(content) // 2])

    code = main(["caption", "cut.mp4", "--every", "1", *quiet, *bundle])

    captured = capsys.readouterr()
    assert code == 1
    assert captured.out != ""
    assert "damaged or cut short" in captured.err
    assert "Traceback" not in captured.err
    assert Path("cut.skyeye.vtt").exists()


def test_an_output_folder_that_cannot_be_is_one_clear_line_and_2(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["caption", "flight.mp4", "-o", "photo.jpg/out", *bundle]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "photo.jpg/out" in captured.err


def test_a_damaged_bundle_is_refused_with_what_to_do(
    folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bundle, "damaged")
    gguf = next(Path("damaged").glob("*.gguf"))
    content = bytearray(gguf.read_bytes())
    content[len(content) // 2] ^= 1
    gguf.write_bytes(content)

    assert main(["caption", "photo.jpg", "--bundle", "damaged"]) == 1
    assert main(["bundle", "verify", "damaged"]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count(f"{gguf.name}: damaged") == 2


def test_bundle_show_says_licence_variants_and_memory(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "show", str(tiny_bundle)]) == 0

    out = capsys.readouterr().out
    for word in ("commercial use", "NOT ALLOWED", "MiB", "runs on a CPU", "llm.q8_0.gguf"):
        assert word in out
    assert "caption, describe, classify, ground, identify, ask\n" in out
    assert "1 at most in a clip" in out


def test_doctor_names_backends_and_the_packaged_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0

    out = capsys.readouterr().out
    for word in (
        "ONNX Runtime on",
        "llama.cpp on",
        "llama-cpp-python 0.3",
        "commercial_use: false",
    ):
        assert word in out


def test_interrupting_leaves_valid_files_and_resume_finishes_them(
    folder: Path, bundle: list[str], start: Start
) -> None:
    command = ["caption", "flight.mp4", "--every", "0", "-o", "out", "--quiet", *bundle]
    job = start(*command)
    wait_for(lambda: lines_of(folder / "out/flight.skyeye.jsonl") > 2)
    job.send_signal(signal.SIGINT)
    _, err = job.communicate(timeout=300)

    assert (job.returncode, "Traceback" in err) == (130, False)
    events = [json.loads(line) for line in Path("out/flight.skyeye.jsonl").read_text().splitlines()]
    assert events[-1]["type"] == "summary"
    assert Path("out/flight.skyeye.vtt").read_text().startswith("WEBVTT")

    assert main([*command, "--resume"]) == 0
    summary = json.loads(Path("out/flight.skyeye.jsonl").read_text().splitlines()[-1])
    assert summary["received"] == summary["answered"] > len(events)


def test_a_killed_run_is_resumed(folder: Path, bundle: list[str], start: Start) -> None:
    command = ["caption", "flight.mp4", "--every", "0", "-o", "out", "--quiet", *bundle]
    job = start(*command)
    wait_for(lambda: lines_of(folder / "out/flight.skyeye.jsonl") > 2)
    job.kill()
    job.wait()
    before = lines_of(folder / "out/flight.skyeye.jsonl")

    assert main([*command, "--resume"]) == 0

    events = [json.loads(line) for line in Path("out/flight.skyeye.jsonl").read_text().splitlines()]
    frames = [event["frames"][0] for event in events if event["type"] == "answer"]
    assert frames == list(range(len(frames)))
    assert len(frames) >= before - 1


def test_a_second_run_into_the_same_file_is_refused_and_the_first_goes_on(
    folder: Path, bundle: list[str], start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["caption", "flight.mp4", "--every", "0", "-o", "out", "--quiet", *bundle]
    first = start(*command)
    wait_for(lambda: lines_of(folder / "out/flight.skyeye.jsonl") > 2)

    assert [main(command), main([*command, "--resume"])] == [2, 2]

    assert first.poll() is None
    assert (
        capsys.readouterr().err.count("flight.skyeye.jsonl: another run is writing this file") == 2
    )
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=300)
    events = [json.loads(line) for line in Path("out/flight.skyeye.jsonl").read_text().splitlines()]
    frames = [event["frames"][0] for event in events if event["type"] == "answer"]
    assert frames == list(range(len(frames)))


@pytest.fixture
def camera(repo: Path, free_udp_port: int) -> Iterator[str]:
    """The address of a drone that sends."""
    url = f"udp://127.0.0.1:{free_udp_port}"
    sender = repo / "tests" / "integration" / "udp_sender.py"
    drone = subprocess.Popen([sys.executable, str(sender), url])
    yield url
    drone.kill()
    drone.wait()


def recordings(folder: Path) -> list[Path]:
    return list(folder.glob("out/watch-*.jsonl"))


def check_whole(recording: Path) -> None:
    """The file ends as a stream ends."""
    *_, end, summary = [json.loads(line) for line in recording.read_text().splitlines()]
    assert (end["type"], end.get("state"), summary["type"]) == ("state", "ENDED", "summary")


def test_watching_ends_in_order_after_ctrl_c(
    folder: Path, bundle: list[str], start: Start, camera: str
) -> None:
    job = start("watch", camera, "--every", "0.2", "--json", "-o", "out", *bundle)
    wait_for(lambda: any(lines_of(path) > 3 for path in recordings(folder)))
    job.send_signal(signal.SIGINT)
    out, _ = job.communicate(timeout=300)

    assert job.returncode == 130
    (recording,) = recordings(folder)
    assert recording.read_text() == out
    check_whole(recording)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        pytest.param([signal.SIGTERM], 0, id="SIGTERM"),
        pytest.param([signal.SIGHUP], 0, id="SIGHUP"),
        pytest.param([signal.SIGINT, signal.SIGINT], 130, id="Ctrl-C twice"),
        pytest.param([signal.SIGTERM] * 3, 0, id="SIGTERM three times"),
    ],
)
def test_watching_ends_in_order_however_it_is_asked_to(
    signals: list[signal.Signals],
    code: int,
    folder: Path,
    bundle: list[str],
    start: Start,
    camera: str,
) -> None:
    job = start("watch", camera, "--every", "0", "--json", "-o", "out", *bundle)
    wait_for(lambda: any(lines_of(path) > 3 for path in recordings(folder)))
    for number in signals:
        job.send_signal(number)
    _, err = job.communicate(timeout=300)

    assert (job.returncode, "Traceback" in err) == (code, False)
    check_whole(recordings(folder)[0])


def test_a_terminal_that_is_closed_costs_a_recording_nothing(
    folder: Path, bundle: list[str], camera: str
) -> None:
    command = [sys.executable, "-m", "skyeye_edge", "watch", camera, "-o", "out", *bundle]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, command)
    try:
        wait_for(lambda: any(lines_of(path) > 3 for path in recordings(folder)))
    finally:
        os.close(terminal)  # the system sends SIGHUP, and printing fails from now on
        _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    check_whole(recordings(folder)[0])


def test_a_reader_of_stdout_that_goes_away_costs_a_recording_nothing(
    folder: Path, bundle: list[str], start: Start, camera: str
) -> None:
    job = start("watch", camera, "--every", "0", "-o", "out", *bundle)
    assert job.stdout is not None
    job.stdout.readline()
    os.close(job.stdout.fileno())
    job.stdout = None
    _, err = job.communicate(timeout=300)

    assert (job.returncode, "Traceback" in err) == (1, False)
    check_whole(recordings(folder)[0])


def test_a_disk_that_is_full_for_a_while_costs_a_recording_some_events_and_not_the_stream(
    folder: Path, bundle: list[str], start: Start, camera: str
) -> None:
    job = start("watch", camera, "--every", "0", "-o", "out", *bundle)
    assert job.stdout is not None
    wait_for(lambda: any(lines_of(path) > 3 for path in recordings(folder)))
    (recording,) = recordings(folder)
    room = recording.stat().st_size + 2000
    _, hard = resource.prlimit(job.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (room, hard))
    wait_for(lambda: room - recording.stat().st_size < 1500)
    for _ in range(10):
        job.stdout.readline()
    full = recording.read_bytes()
    resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (hard, hard))
    for _ in range(10):
        job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    _, err = job.communicate(timeout=300)

    assert full.endswith(b"}\n")
    assert job.returncode == 0
    assert "watching goes on" in err and "works again" in err
    assert "--resume" not in err
    check_whole(recording)


@pytest.fixture
def free_udp_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.root
def test_a_full_disk_is_one_clear_line_and_1(
    folder: Path, bundle: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    small = folder / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        code = main(["caption", "flight.mp4", "--every", "0", "-o", str(small), *bundle])
    finally:
        subprocess.run(["umount", str(small)], check=True)

    captured = capsys.readouterr()
    assert code == 1
    assert "the disk is full" in captured.err
    assert captured.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_it_quietly(
    folder: Path, bundle: list[str], start: Start
) -> None:
    job = start("caption", "flight.mp4", "--every", "0", "--quiet", *bundle)
    assert job.stdout is not None
    job.stdout.readline()
    os.close(job.stdout.fileno())
    job.stdout = None
    _, err = job.communicate(timeout=300)

    assert "Traceback" not in err
