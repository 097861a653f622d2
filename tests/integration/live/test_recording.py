"""What was recorded of a live stream gives the same events again, from the same pixels."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import skyeye_edge as sky
from skyeye_edge.core.events import AlertEvent, AnswerEvent, Event, StateEvent
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.recording import Recording, find_recordings, read_recording
from skyeye_edge.runtime.replay import comparable, kept_of, replayed
from tests.integration.live.watching import HERE, Sender

TASKS: list[sky.Task] = [sky.Caption(), sky.Ground("a bright line")]


class Eyes:
    """A sink that keeps what the pictures were, and their metadata."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[str, tuple[bytes, ...]]] = {}

    def __call__(self, event: Event, frame: Frame | None) -> None:
        if isinstance(event, AnswerEvent) and event.frames and frame is not None:
            digest = hashlib.sha256(frame.rgb.tobytes()).hexdigest()
            self.seen[frame.index] = digest, tuple(packet.data for packet in frame.metadata)


def watch(
    model: sky.Model, url: str, folder: Path, answers: int, **options: object
) -> tuple[list[Event], Eyes]:
    """Events of a stream that is stopped after so many answers."""
    eyes, events, asked = Eyes(), [], 0
    with model.stream(url, TASKS, every=0, record=folder, sinks=[eyes], **options) as stream:  # type: ignore[arg-type]
        for event in stream:
            events.append(event)
            asked += isinstance(event, AnswerEvent)
            if asked == answers:
                stream.stop()
    return events, eyes


def only_recording(folder: Path) -> Recording:
    (found,) = find_recordings(folder)
    return read_recording(found)


def digests(recording: Recording) -> dict[int, str]:
    """What the pictures of a recording are now."""
    stills = kept_of(recording).stills()
    return {still.index: hashlib.sha256(still.rgb.tobytes()).hexdigest() for still in stills}


def again(model: sky.Model, recording: Recording) -> list[Event]:
    with replayed(recording, kept_of(recording), model.submit, model.description) as stream:
        return list(stream)


def check_same(recording: Recording, events: list[Event], replay: list[Event]) -> None:
    recorded = [comparable(event) for event in recording.events]
    assert recorded == [comparable(event) for event in events]
    assert [comparable(event) for event in replay] == recorded


@pytest.mark.parametrize("gate", [True, False], ids=["gated", "all"])
def test_the_same_events_come_again_from_the_same_pixels(
    tiny: sky.Model,
    udp_sender: Callable[[], Sender],
    port: int,
    tmp_path: Path,
    gate: bool,
) -> None:
    udp_sender()
    events, eyes = watch(tiny, f"udp://127.0.0.1:{port}", tmp_path, 12, gate=gate, heartbeat=0.3)

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    stills = digests(recording)
    assert stills == {index: digest for index, (digest, _) in eyes.seen.items()}
    assert len(stills) >= 2


def test_metadata_is_recorded_and_comes_with_its_frame_again(
    tiny: sky.Model, udp_sender: Callable[[], Sender], port: int, tmp_path: Path
) -> None:
    udp_sender()
    _, eyes = watch(tiny, f"udp://127.0.0.1:{port}", tmp_path, 15, gate=False)

    kept = kept_of(only_recording(tmp_path))
    live = [data for _, packets in eyes.seen.values() for data in packets]
    again = [packet.data for still in kept.stills() for packet in still.metadata]

    assert live
    # what came in the moment before a picture may be with the one before or behind it
    assert set(live[2:-2]) <= set(again)
    assert {data[:17] for data in again} == {bytes(range(16)) + b"\x04"}


def test_rtp_that_ffmpeg_never_opened_is_recorded(
    tiny: sky.Model, started: Callable[..., Sender], port: int, tmp_path: Path
) -> None:
    url = f"rtp://127.0.0.1:{port}"
    started(sys.executable, HERE / "udp_sender.py", url)
    events, eyes = watch(tiny, url, tmp_path, 6, gate=False)

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    assert digests(recording) == {index: digest for index, (digest, _) in eyes.seen.items()}


@pytest.mark.slow
@pytest.mark.rtsp
def test_rtsp_is_recorded(
    tiny: sky.Model, rtsp_server: Callable[..., Sender], port: int, tmp_path: Path
) -> None:
    rtsp_server()
    events, eyes = watch(tiny, f"rtsp://127.0.0.1:{port}/camera", tmp_path, 6, gate=False)

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    assert digests(recording) == {index: digest for index, (digest, _) in eyes.seen.items()}


@pytest.mark.slow
def test_a_sender_that_dies_and_comes_back_is_replayed_with_its_states(
    tiny: sky.Model, udp_sender: Callable[[], Sender], port: int, tmp_path: Path
) -> None:
    sender, eyes, events = udp_sender(), Eyes(), []
    with tiny.stream(
        f"udp://127.0.0.1:{port}", TASKS, every=0, gate=False, record=tmp_path, sinks=[eyes]
    ) as stream:
        lives = answers = deaths = 0
        for event in stream:
            events.append(event)
            answers += isinstance(event, AnswerEvent)
            if isinstance(event, StateEvent) and event.state == "LIVE":
                lives, answers = lives + 1, 0
            if isinstance(event, StateEvent) and event.state == "STALLED":
                sender = udp_sender()
            if lives == 1 and answers == 3 and not deaths:
                deaths += 1
                sender.kill()
                sender.wait()
            if lives >= 2 and answers == 3:
                stream.stop()

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    assert digests(recording) == {index: digest for index, (digest, _) in eyes.seen.items()}


def test_what_was_changed_left_out_and_watched_for_comes_again(
    tiny: sky.Model, udp_sender: Callable[[], Sender], port: int, tmp_path: Path
) -> None:
    udp_sender()
    events: list[Event] = []
    with tiny.stream(
        f"udp://127.0.0.1:{port}",
        TASKS,
        every=0,
        gate=False,
        max_latency=0.001,  # never kept, so everything is left out that can be
        alerts=[sky.Alert("a line", needed=1, of=1, begin_at=0.0, end_at=0.0)],
        record=tmp_path,
    ) as stream:
        asked = 0
        for event in stream:
            events.append(event)
            asked += isinstance(event, AnswerEvent)
            if isinstance(event, AnswerEvent) and asked == 6:
                other = sky.Alert("smoke", needed=1, of=1, begin_at=0.0, end_at=0.0)
                stream.set_tasks([sky.Caption(), sky.Ask("is it day?")], [other])
            if isinstance(event, AnswerEvent) and asked == 8:
                stream.pause()
                stream.resume()
            if asked == 12:
                stream.stop()

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    assert any(isinstance(event, AnswerEvent) and event.left_out for event in events)
    assert {event.to_dict()["type"] for event in events} >= {"alert", "control", "answer"}
    assert {event.alert for event in events if isinstance(event, AlertEvent)} == {"a line", "smoke"}


def test_what_was_killed_is_replayed_to_that_moment(
    tiny: sky.Model, udp_sender: Callable[[], Sender], port: int, tmp_path: Path
) -> None:
    udp_sender()
    command = [sys.executable, "-m", "skyeye_edge", "watch", f"udp://127.0.0.1:{port}"]
    options = ["--no-gate", "--every", "0", "--json", "--record", str(tmp_path)]
    job = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, start_new_session=True)
    assert job.stdout is not None
    for _ in zip(range(10), job.stdout, strict=False):
        pass
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()

    recording = only_recording(tmp_path)
    kept = kept_of(recording)
    replay = again(tiny, recording)

    assert not recording.has_ended
    assert len(recording.events) >= 9
    assert len(kept.lost) <= 1  # the packets of a picture may still have been in FFmpeg's hands
    recorded = [comparable(event) for event in kept.events]
    assert [comparable(event) for event in replay][: len(recorded)] == recorded


def test_the_oldest_packets_go_and_it_is_said_which_answers_are_lost(
    tiny: sky.Model, started: Callable[..., Sender], port: int, tmp_path: Path
) -> None:
    url = f"rtp://127.0.0.1:{port}"
    started(sys.executable, HERE / "udp_sender.py", url)  # noise, which takes much room
    events, _ = watch(tiny, url, tmp_path, 40, record_gib=2**-12, gate=False)

    recording = only_recording(tmp_path)
    kept = kept_of(recording)
    replay = again(tiny, recording)

    size = sum(file.stat().st_size for file in recording.folder.glob("packets/*.ts"))
    assert kept.lost
    assert size <= 2**18 * 1.2
    assert len(kept.events) == len(events) - len(kept.lost)
    assert [comparable(event) for event in replay] == [comparable(event) for event in kept.events]


def test_a_full_disk_ends_the_recording_and_not_the_stream(
    tiny: sky.Model,
    udp_sender: Callable[[], Sender],
    port: int,
    small_disk: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    udp_sender()
    events, _ = watch(tiny, f"udp://127.0.0.1:{port}", small_disk, 60, gate=False)

    assert sum(isinstance(event, AnswerEvent) for event in events) >= 60
    assert "recording stops: No space left on device" in caplog.text
    recording = only_recording(small_disk)
    assert 0 < len(recording.events) < len(events)
    assert len(kept_of(recording).events) <= len(recording.events)


@pytest.mark.parametrize("what", ["a folder of images", "pushed frames"])
def test_what_cannot_be_had_again_is_not_recorded(
    tiny: sky.Model, what: str, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    source = sky.Push("mine") if what == "pushed frames" else tmp_path

    with pytest.raises(sky.InputError, match="only live sources and video files"):
        tiny.stream(source, TASKS, record=tmp_path / "flight")
    assert not (tmp_path / "flight").exists()


@pytest.mark.slow
@pytest.mark.ffprobe
@pytest.mark.parametrize(
    "encoder",
    ["libx264 -bf 3 -g 30", "libx265 -g 20 -x265-params log-level=none", "mpeg2video -bf 2 -g 12"],
    ids=["H.264 with B pictures", "H.265", "MPEG-2"],
)
def test_pictures_that_are_shown_in_another_order_are_the_same_again(
    tiny: sky.Model, started: Callable[..., Sender], port: int, tmp_path: Path, encoder: str
) -> None:
    url = f"udp://127.0.0.1:{port}"
    picture = "-re -f lavfi -i testsrc2=size=320x192:rate=20 -pix_fmt yuv420p"
    to = f"-progress pipe:1 -f mpegts {url}?pkt_size=1316"
    started("ffmpeg", *f"-loglevel quiet {picture} -c:v {encoder} {to}".split())
    events, eyes = watch(tiny, url, tmp_path, 12, gate=False)

    recording = only_recording(tmp_path)
    check_same(recording, events, again(tiny, recording))
    assert digests(recording) == {index: digest for index, (digest, _) in eyes.seen.items()}
