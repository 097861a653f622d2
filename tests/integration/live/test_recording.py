"""What was recorded of a live stream gives the same events again, from the same pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import skyeye_edge as sky
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.recording import Recording, find_recordings, read_recording
from skyeye_edge.runtime.replay import comparable, kept_of, replayed
from tests.integration.live.watching import Sender

TASKS = [sky.Caption(), sky.Ground("a bright line")]


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
    kept = kept_of(recording)
    stills = {
        still.index: hashlib.sha256(still.rgb.tobytes()).hexdigest() for still in kept.stills()
    }
    assert stills == {index: digest for index, (digest, _) in eyes.seen.items()}
    assert len(stills) >= 2
