"""All sinks at once beside a live stream: what others read from them, also after kill -9."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pysubs2
import pytest
from PIL import Image

from skyeye_edge.core.events import AnswerEvent, Event, SummaryEvent, parse_event
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.tasks import Classify
from skyeye_edge.runtime.model import Model
from skyeye_edge.runtime.resume import read_events
from skyeye_edge.runtime.sinks import SinkLike

HERE = Path(__file__).resolve().parent
LIMIT = 300.0  # seconds after which something hangs: no machine is so busy
FEW, MANY = 3, 50  # moments
TAG = "SKYEYE_TEST_KILLS"  # of the environment of everything that a test starts


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """What a file says; a last line that is torn is left out, any other would fail."""
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def check_subtitles(path: Path) -> int:
    """Cues of a file that a player would show, all of them whole and in order."""
    if not path.exists() or not path.stat().st_size:
        return 0
    text = path.read_text("utf-8")
    assert path.suffix == ".srt" or text.startswith("WEBVTT\n\n")
    assert text.endswith("\n\n")
    cues = pysubs2.load(str(path), format_=path.suffix[1:])
    assert len(cues) == text.count("-->")
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    assert all(cue.end > cue.start and cue.text for cue in cues)
    return len(cues)


def pictures_in(path: Path) -> int:
    """Pictures of a video that can be decoded; a torn last fragment ends it."""
    if not path.exists() or not path.stat().st_size:
        return 0
    count = 0
    try:
        with av.open(str(path)) as opened:
            for _ in opened.decode(video=0):
                count += 1
    except (av.error.InvalidDataError, av.error.EOFError, IndexError):
        pass
    return count


@pytest.fixture(scope="module")
def sender() -> Iterator[str]:
    """The address of a drone that sends all the time."""
    url = f"udp://127.0.0.1:{free_port()}"
    program = subprocess.Popen([sys.executable, HERE / "udp_sender.py", url])
    yield url
    program.kill()
    program.wait()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker; of one that is not there where mosquitto is missing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path_factory.mktemp("broker") / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    running = program and subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    while running:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.01)
    yield f"mqtt://127.0.0.1:{port}/uav"
    if running:
        running.kill()
        running.wait()


def all_sinks(folder: Path, broker: str, udp_json: int) -> list[str]:
    """The options for one of each kind."""
    port = free_port()
    places = [
        f"{folder}/lines/", f"{folder}/flight.jsonl", f"{folder}/flight.vtt",
        f"{folder}/flight.srt", f"{folder}/flight.mp4", f"{folder}/flight.ts",
        f"{folder}/shots/{{index}}.jpg?keep=5", broker, f"udp+json://127.0.0.1:{udp_json}",
        f"unix:{os.path.relpath(folder)}/s", f"rtp://127.0.0.1:{port}", f"udp://127.0.0.1:{port}",
    ]  # fmt: skip
    return [word for place in places for word in ("--sink", place)]


class Listener:
    """Reads lines in a thread, from wherever they come."""

    def __init__(self, lines: Callable[[], Iterator[str]]) -> None:
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._thread.start()

    def _read(self, lines: Callable[[], Iterator[str]]) -> None:
        for line in lines():
            self.events.append(json.loads(line))
            if self.events[-1]["type"] == "summary":
                return

    def ids(self) -> list[str]:
        """Of all events, to the summary."""
        self._thread.join(LIMIT)
        return [event["id"] for event in self.events]


def read_unix(path: Path) -> Iterator[str]:
    wait_until(path.exists)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader:
        reader.connect(str(path))
        with reader.makefile("r", encoding="utf-8") as lines:
            yield from lines


def read_udp(reader: socket.socket) -> Iterator[str]:
    while True:
        yield reader.recv(65536).decode()


def read_mqtt(broker: str) -> Iterator[str]:
    port = broker.rpartition(":")[2].partition("/")[0]
    topics = ["-t", "uav/+/+", "-q", "1"]
    program = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", port, *topics],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    try:
        yield from program.stdout
    finally:
        program.kill()
        program.wait()


@pytest.mark.mosquitto
def test_every_sink_holds_what_the_stream_said(
    sender: str, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        udp = Listener(lambda: read_udp(receiver))
        unix = Listener(lambda: read_unix(Path("s")))
        mqtt = Listener(lambda: read_mqtt(broker))
        command = [sys.executable, "-m", "skyeye_edge", "watch", sender, "--every", "0.5", "--json"]
        command += ["--no-gate", "--phrase", "a boat", *all_sinks(Path(), broker, port)]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert running.stdout is not None
        said: list[dict[str, Any]] = []
        while sum(event["type"] == "answer" for event in said) < 8:
            said.append(json.loads(running.stdout.readline()))
        running.send_signal(signal.SIGINT)
        said += [json.loads(line) for line in running.communicate(timeout=LIMIT)[0].splitlines()]
        heard = {"udp": udp.ids(), "unix": unix.ids(), "mqtt": mqtt.ids()}

    assert running.returncode == 130
    ids = [event["id"] for event in said]
    for path in (Path("flight.jsonl"), *Path("lines").iterdir()):
        assert whole_lines(path) == said
    assert heard["udp"] == ids
    # who comes a little later first hears how the source stands, which it may then hear again
    for later in (heard["unix"], list(dict.fromkeys(heard["mqtt"]))):
        assert later[-8:] == ids[-8:] and set(later) <= set(ids)

    answers = [event for event in said if event["type"] == "answer"]
    texts = [event["results"][0]["text"] for event in answers]
    changes = 1 + sum(a != b for a, b in pairwise(texts))
    for name in ("flight.vtt", "flight.srt"):
        assert changes <= check_subtitles(Path(name)) <= len(answers)
    indices = {f"{event['frames'][0]:08}" for event in answers}
    shots = {path.stem for path in Path("shots").glob("*.jpg")}
    assert len(shots) == 5 and shots <= indices
    # a video may have missed what came while its writer was starting
    for name in ("flight.mp4", "flight.ts"):
        assert 0 < pictures_in(Path(name)) <= len(answers)
        ffprobed = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", name]
        if shutil.which("ffprobe"):
            done = subprocess.run(ffprobed, capture_output=True, text=True, check=True)
            assert "codec_name=h264" in done.stdout and done.stderr == ""
    assert not Path("s").exists()


class Stuck:
    """Takes one event, and never another."""

    name = "stuck"

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def write(self, event: Event, frame: Frame | None) -> None:
        self.go_on.wait(LIMIT)

    def close(self) -> None:
        pass


class Broken(Stuck):
    name = "broken"

    def write(self, event: Event, frame: Frame | None) -> None:
        raise OSError(5, "Input/output error")


class Kept(Stuck):
    name = "kept"
    wants_frames = False

    def __init__(self) -> None:
        self.ids: list[str] = []

    def write(self, event: Event, frame: Frame | None) -> None:
        self.ids.append(event.id)


def test_a_dead_sink_and_a_broken_one_cost_a_stream_and_the_other_sinks_nothing(
    tiny: Model, demo_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, kept = Stuck(), Kept()
    path = tmp_path / "events.jsonl"
    sinks: list[SinkLike] = [stuck, Broken(), kept, path]

    with tiny.stream(demo_clip, tasks=[Classify(("a", "b"))], every=0.2, sinks=sinks) as stream:
        events = list(stream)
    stuck.go_on.set()

    ids = [event.id for event in events]
    assert isinstance(events[-1], SummaryEvent) and len(events) > 50
    assert kept.ids == ids == [event.id for event in read_events(path)]
    assert stream.sinks.losses["stuck"].keys() <= {"slow", "closed"}
    assert stream.sinks.losses["broken"] == {"failed": len(ids)}
    assert stream.sinks.incomplete == ()  # the file has them all
    for counts in stream.sinks.counts.values():
        assert counts.offered == len(ids) == counts.written + sum(counts.lost.values())
    assert sum("broken: input/output error" in message for message in caplog.messages) <= 2


def left_behind(tag: str) -> list[str]:
    """Processes that a killed run has started and that are still there."""
    mark = f"{TAG}={tag}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:60])
        except OSError:
            continue
    return found


def check_sinks(folder: Path) -> int:
    """That everything in a folder is valid; how many answers are there."""
    answers = 0
    for path in [*folder.glob("lines/*.jsonl"), folder / "flight.jsonl"]:
        found = whole_lines(path)
        answers = sum(event["type"] == "answer" for event in found)
        assert all(parse_event(json.dumps(event)) is not None for event in found)
    for path in [*folder.glob("flight*.vtt"), *folder.glob("flight*.srt")]:
        check_subtitles(path)
    for path in folder.glob("shots/[!.]*.jpg"):
        with Image.open(path) as image:
            image.load()
        event = parse_event(path.with_suffix(".json").read_text("utf-8"))
        assert isinstance(event, AnswerEvent)
    return answers


@pytest.mark.parametrize(
    "number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_watching_that_is_killed_leaves_every_sink_valid_and_no_process_behind(
    number: int, sender: str, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a Unix socket has to be short
    chance = random.Random(number)
    folder = tmp_path / "out"  # the same each time: the next run finds what the last one left
    folder.mkdir()
    told = pictures = 0
    for moment in range(number):
        monkeypatch.setenv(TAG, f"{os.getpid()}-{moment}")
        command = [sys.executable, "-m", "skyeye_edge", "watch", sender, "--every", "0", "--json"]
        command += ["--no-gate", *all_sinks(folder, broker, free_port())]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert running.stdout is not None
        for _ in range(chance.randint(0, 25)):
            assert running.stdout.readline(), "it ended by itself"
        time.sleep(chance.uniform(0, 0.1))
        running.send_signal(signal.SIGKILL)
        running.wait()
        running.stdout.close()
        # the reader, and the writers of video, see that nobody is there and end
        wait_until(lambda n=moment: not left_behind(f"{os.getpid()}-{n}"))  # type: ignore[misc]

        told = max(told, check_sinks(folder))
        pictures = max(pictures, *(pictures_in(path) for path in folder.glob("flight*.mp4")))
        assert all(pictures_in(path) for path in folder.glob("flight*.mp4") if path.stat().st_size)
    assert told > 0 and pictures > 0  # or nothing was tried
    assert list(read_events(folder / "flight.jsonl"))
