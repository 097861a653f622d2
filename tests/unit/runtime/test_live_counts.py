"""Live sources without a network: states, addresses, time lines and what the reader counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.frame import Counts, State
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.causes import End
from skyeye_edge.runtime.sources.decoding import Decoder, Picture
from skyeye_edge.runtime.sources.live import backoff, slow_backoff, state_after
from skyeye_edge.runtime.sources.live_child import Message, ReaderProcess
from skyeye_edge.runtime.sources.messages import Request
from skyeye_edge.runtime.sources.registry import Patience, live_address, live_target
from skyeye_edge.runtime.sources.session import STALE_AFTER, Session


@pytest.mark.parametrize("url", ["udp://127.0.0.1", "rtsp:///live", "udp://@:99999", "rtsp://"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="udp://@:5600"):
        live_address(url)


@pytest.mark.parametrize("url", ["ftp://a:pass@cam/live", "rist://a:pass@cam:9000"])
def test_an_unknown_kind_of_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(InputError, match="cannot be watched") as caught:
        open_source(url)

    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "silence", "then"),
    [
        ("LIVE", 1.0, "LIVE"),
        ("LIVE", 2.5, "STALLED"),
        ("STALLED", 5.0, "STALLED"),
        ("STALLED", 6.5, None),
        ("LIVE", 7.0, None),
        ("CONNECTING", 11.0, "CONNECTING"),
        ("RECONNECTING", 13.0, None),
    ],
)
def test_silence_stalls_a_source_and_then_gives_it_up(
    state: State, silence: float, then: State | None
) -> None:
    assert state_after(state, silence, Patience()) == then


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_the_wait_before_a_new_try_grows_to_a_second_and_varies(
    attempt: int, chance: float
) -> None:
    longest = min(1.0, 0.25 * 2 ** min(attempt, 20))

    wait = backoff(attempt, lambda: chance)

    assert longest / 2 <= wait <= longest


@given(refusals=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_camera_that_refuses_the_password_is_tried_every_half_minute_to_ten_minutes(
    refusals: int, chance: float
) -> None:
    longest = min(600.0, 30.0 * 2 ** min(refusals - 1, 20))

    wait = slow_backoff(refusals, lambda: chance)

    assert longest * 0.75 <= wait <= longest


class Parent:
    """The other end of a session's two pipes."""

    def __init__(self, every: float, *, keep_damaged: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        wishes, self.wish = os.pipe()
        self.now = 1000.0
        self.session = Session(
            Request(live_target("udp://@:5600"), every, keep_damaged=keep_damaged),
            wishes,
            lambda values, rgb: self.sent.append(values),
            clock=lambda: self.now,
        )

    def close(self) -> None:
        os.close(self.wish)
        os.close(self.session.wishes)

    def counts(self) -> Counts:
        told = [Counts(*message["counts"]) for message in self.sent]
        return sum(told, Counts(len(self.frames())))

    def frames(self) -> list[int]:
        return [m["moment"][0] for m in self.sent if m["type"] == "frame"]


@pytest.fixture
def pictures(make_clip: Callable[..., Path]) -> Iterator[Iterator[Picture]]:
    """Decoded pictures, ten a second, without end; every tenth is a key frame."""
    with av.open(str(make_clip(range(0, 6000, 100)))) as container:
        yield map(whole, container.decode(video=0))


def whole(raw: av.VideoFrame) -> Picture:
    return Picture(raw, marked=False, damaged=False, seconds=0.0)


def test_the_newest_picture_is_sent_when_one_is_wanted(pictures: Iterator[Picture]) -> None:
    parent = Parent(every=0.0)
    for _ in range(5):
        parent.session.add(next(pictures))
    os.write(parent.wish, b"1")

    parent.session.tell()

    assert (parent.frames(), parent.counts()) == ([4], Counts(5, 0, {"busy": 4}))


def test_one_wish_is_one_picture(pictures: Iterator[Picture]) -> None:
    parent = Parent(every=0.0)
    os.write(parent.wish, b"1")
    for _ in range(3):
        parent.session.add(next(pictures))
        parent.session.tell()

    assert parent.frames() == [0]


def test_pictures_that_are_not_due_are_skipped_in_the_child(
    pictures: Iterator[Picture],
) -> None:
    parent = Parent(every=1.0)
    for _ in range(25):
        os.write(parent.wish, b"1")
        parent.session.add(next(pictures))
        parent.session.tell()
    parent.session.end(End("over"))

    assert (parent.frames(), parent.counts()) == ([0, 10, 20], Counts(25, 22))


def test_pictures_without_time_stamps_are_due_by_their_arrival() -> None:
    parent = Parent(every=1.0)
    for _ in range(25):
        os.write(parent.wish, b"1")
        parent.session.add(whole(av.VideoFrame(16, 16, "yuv420p")))
        parent.session.tell()
        parent.now += 0.1
    parent.session.end(End("over"))

    assert (parent.frames(), parent.counts()) == ([0, 10, 20], Counts(25, 22))


def test_a_reader_that_is_slowed_down_says_how_late_its_frames_are(
    pictures: Iterator[Picture],
) -> None:
    parent = Parent(every=0.0)
    for _ in range(8):
        os.write(parent.wish, b"1")
        parent.session.add(next(pictures))
        parent.session.tell()
        parent.now += 0.3  # for a tenth of a second of video

    lags = [message["lag"] for message in parent.sent if message["type"] == "frame"]
    assert lags == pytest.approx([0.2 * number for number in range(8)], abs=0.01)


def test_a_stream_that_lags_too_much_goes_on_with_the_next_key_frame(
    make_clip: Callable[..., Path],
) -> None:
    parent = Parent(every=0.0)
    decoder = Decoder()
    with av.open(str(make_clip(range(0, 6000, 100), name="clip.ts"))) as container:
        for number, packet in enumerate(container.demux(video=0)):
            parent.now += 3.0 if number == 14 else 0.1 if number < 14 else 0.01  # a backlog
            if parent.session.is_wanted(packet):
                for picture in decoder.pictures(packet.decode):
                    os.write(parent.wish, b"1")
                    parent.session.add(picture)
            parent.session.tell()
    parent.session.end(End("over"))

    lags = [message["lag"] for message in parent.sent if message["type"] == "frame"]
    counts = parent.counts()
    assert counts.dropped["stale"] >= 5
    assert counts.received == len(lags) + sum(counts.dropped.values()) == 60
    assert lags[-1] < STALE_AFTER


def test_a_damaged_picture_is_left_out_and_told_of_unless_it_is_wanted(
    pictures: Iterator[Picture],
) -> None:
    counts = []
    for keep_damaged in (False, True):
        parent = Parent(every=0.0, keep_damaged=keep_damaged)
        os.write(parent.wish, b"1")
        parent.session.add(replace(next(pictures), marked=True, damaged=True))
        parent.session.end(End("over"))
        counts.append(parent.counts())
        assert parent.sent[0]["marked"] is True

    assert counts == [Counts(1, 0, {"decode": 1}), Counts(1)]


def test_pictures_of_two_senders_are_left_out_where_one_is_drawn_from_the_other(
    make_clip: Callable[..., Path],
) -> None:
    parent = Parent(every=0.0)
    with (
        av.open(str(make_clip(range(0, 3000, 100)))) as one,
        av.open(str(make_clip(range(0, 60_000, 2000)))) as other,  # its stamps run differently
    ):
        for pair in zip(one.decode(video=0), other.decode(video=0), strict=True):
            for raw in pair:
                os.write(parent.wish, b"1")
                parent.session.add(whole(raw))
                parent.session.tell()
                parent.now += 0.05
    parent.session.end(End("over"))

    counts = parent.counts()
    assert counts.received == 60
    assert counts.dropped["decode"] > 40
    assert any(message["marked"] for message in parent.sent)


def test_a_sender_that_begins_anew_without_key_frames_is_not_waited_for_for_ever() -> None:
    parent = Parent(every=0.0)
    raw = av.VideoFrame(16, 16, "yuv420p")
    raw.time_base = Fraction(1, 10)
    for number in range(100):
        raw.pts = number if number < 10 else number + 1000
        os.write(parent.wish, b"1")
        parent.session.add(whole(raw))
        parent.session.tell()
        parent.now += 0.1
    parent.session.end(End("over"))

    assert 40 <= parent.counts().dropped["decode"] <= 60
    assert parent.frames()[-1] == 99


def test_a_parent_that_has_gone_gets_its_waiting_frame_counted_as_closed(
    pictures: Iterator[Picture],
) -> None:
    parent = Parent(every=0.0)
    parent.session.add(next(pictures))
    os.close(parent.wish)
    parent.session.tell()

    parent.session.end(End("stopped"))

    assert (parent.session.listened, parent.counts()) == (False, Counts(1, 0, {"closed": 1}))


@given(
    steps=st.lists(st.sampled_from(["picture", "wish", "tell", "fail"]), max_size=40),
    every=st.sampled_from([0.0, 0.25]),
)
def test_every_picture_is_sent_or_counted_in_some_message(steps: list[str], every: float) -> None:
    parent = Parent(every)
    picture = av.VideoFrame(16, 16, "yuv420p")
    decoded = steps.count("picture")
    for number, step in enumerate(steps):
        match step:
            case "picture":
                picture.pts, picture.time_base = number, Fraction(1, 10)
                parent.session.add(whole(picture))
            case "wish":
                os.write(parent.wish, b"1")
            case "tell":
                parent.session.tell()
            case "fail":
                parent.session.counts += Counts(1, 0, {"decode": 1})
    parent.session.end(End("over"))
    parent.close()

    counts = parent.counts()
    assert counts.received == decoded + steps.count("fail")
    assert counts.received == len(parent.frames()) + counts.skipped + sum(counts.dropped.values())


def test_a_reader_process_says_why_it_cannot_read_and_keeps_the_password_to_itself() -> None:
    with ReaderProcess() as reader:
        reader.begin(Request(live_target("rtsp://admin:pass@127.0.0.1:9/live"), 0.0))
        message = received(reader)

        command = Path(f"/proc/{reader.pid}/cmdline").read_bytes()

    assert message[0]["type"] == "end"
    assert message[0]["end"]["cause"] == "connection refused"
    assert b"pass" not in command


def test_a_reader_process_that_was_killed_is_noticed() -> None:
    with ReaderProcess() as reader:
        reader.begin(Request(live_target("udp://127.0.0.1:9"), 0.0))
        os.kill(reader.pid, 9)

        with pytest.raises(EOFError):
            received(reader)


def received(reader: ReaderProcess) -> Message:
    message = reader.receive(60.0)
    assert message is not None
    return message
