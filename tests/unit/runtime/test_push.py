"""Frames that another program pushes."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import ClosedError, InputError
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources.push import Push

PICTURE = np.zeros((4, 6, 3), np.uint8)


def test_a_pushed_image_is_a_copy() -> None:
    camera, image = Push(), PICTURE.copy()
    camera.push(image, time=12.4)
    image[:] = 9
    camera.end()

    frame, _ = camera.items(0.0)

    assert isinstance(frame, Frame)
    assert (frame.time, frame.index, frame.size, int(frame.rgb.max())) == (12.4, 0, (6, 4), 0)


def test_every_push_has_a_name_of_its_own_unless_it_is_given_one() -> None:
    assert len({Push().name for _ in range(4)}) == 4
    assert Push("left camera").name == "left camera"


def test_the_newest_frame_wins_and_the_others_are_busy() -> None:
    camera = Push()
    for time in (0.0, 0.1, 0.2):
        camera.push(PICTURE, time=time)
    camera.end()

    frame, end = camera.items(0.0)

    assert isinstance(frame, Frame)
    assert (frame.index, frame.before) == (2, Counts(2, 0, {"busy": 2}))
    assert (end.before, end.epoch) == (Counts(), 0)


def test_more_slots_keep_more_frames() -> None:
    camera = Push(slots=2)
    for time in (0.0, 0.1, 0.2):
        camera.push(PICTURE, time=time)
    camera.end()

    indices = [item.index for item in camera.items(0.0) if isinstance(item, Frame)]

    assert indices == [1, 2]


def test_frames_that_are_not_due_are_skipped_once_somebody_asks() -> None:
    camera = Push(slots=3)
    items = camera.items(1.0)
    camera.push(PICTURE, time=0.0)
    next(items)
    for time in (0.5, 0.9, 1.1, 1.5):
        camera.push(PICTURE, time=time)
    camera.end()

    frame, end = items

    assert (frame.time, frame.before, end.before) == (1.1, Counts(2, 2), Counts(1, 1))


def test_time_is_counted_from_the_first_push_if_none_is_given() -> None:
    seconds = itertools.count(100)
    camera = Push(slots=3, clock=lambda: float(next(seconds)))
    for _ in range(3):
        camera.push(PICTURE)
    camera.end()

    times = [item.time for item in camera.items(0.0) if isinstance(item, Frame)]

    assert times == [0.0, 1.0, 2.0]


def test_time_that_goes_back_begins_a_new_epoch() -> None:
    camera = Push(slots=3)
    for time in (5.0, 6.0, 0.0):
        camera.push(PICTURE, time=time)
    camera.end()

    assert [item.epoch for item in camera.items(0.0)] == [0, 0, 1, 1]


def test_a_frame_pushed_after_the_end_is_refused() -> None:
    camera = Push()
    camera.end()
    camera.end()

    with pytest.raises(ClosedError, match="after end"):
        camera.push(PICTURE)


def test_a_callback_may_go_on_pushing_after_the_stream_was_stopped() -> None:
    camera = Push()
    camera.push(PICTURE)
    camera.stop()
    camera.push(PICTURE)

    (end,) = camera.items(0.0)

    assert isinstance(end, SourceChange)
    assert (end.cause, end.before) == ("stopped", Counts(1, 0, {"closed": 1}))


@pytest.mark.parametrize(
    ("image", "time"),
    [
        pytest.param(np.zeros((4, 6), np.uint8), 0.0, id="grey"),
        pytest.param(np.zeros((4, 6, 3), np.float32), 0.0, id="floats"),
        pytest.param(PICTURE, float("nan"), id="no time"),
    ],
)
def test_what_is_no_image_or_time_is_refused_and_not_counted(
    image: np.typing.NDArray[np.uint8], time: float
) -> None:
    camera = Push()
    with pytest.raises(InputError):
        camera.push(image, time=time)
    camera.end()

    (end,) = camera.items(0.0)

    assert end.before == Counts()


def test_a_push_never_waits_for_anybody() -> None:
    camera = Push()

    def push_often() -> None:
        for _ in range(1000):
            camera.push(PICTURE)

    pushing = threading.Thread(target=push_often)
    pushing.start()
    pushing.join(timeout=300)

    assert not pushing.is_alive()


@given(
    every=st.sampled_from([0.0, 0.3, 1.0]),
    steps=st.lists(st.floats(0, 0.7), max_size=40),
    slots=st.integers(1, 3),
)
def test_pushed_frames_are_answered_skipped_or_dropped(
    every: float, steps: list[float], slots: int
) -> None:
    camera = Push(slots=slots)
    items = camera.items(every)
    camera.push(PICTURE, time=0.0)
    taken = [next(items)]
    for time in itertools.accumulate(steps):
        camera.push(PICTURE, time=time)
    camera.end()
    taken += items

    counts = sum((item.before for item in taken), Counts())
    answered = sum(isinstance(item, Frame) for item in taken)
    assert counts.received + answered == len(steps) + 1
    assert counts.received == counts.skipped + sum(counts.dropped.values())


def test_a_source_named_by_an_address_is_named_without_its_secrets() -> None:
    assert Push("rtsp://admin:pa/ss@10.0.0.2/live?pwd=pass").name == "rtsp://10.0.0.2/live"
    assert Push("left camera").name == "left camera"


def test_what_the_user_gave_along_travels_with_its_frame_and_is_a_copy() -> None:
    camera, stamp = Push(), {"stamp": [12, 5], "frame_id": "front"}
    camera.push(PICTURE, time=1.0, user=stamp)
    stamp["frame_id"] = "changed"
    camera.end()

    frame, _ = camera.items(0.0)

    assert isinstance(frame, Frame)
    assert frame.user == {"stamp": [12, 5], "frame_id": "front"}


def test_a_pushed_frame_keeps_what_its_maker_gave_along() -> None:
    camera = Push(slots=2)
    camera.push(Frame(PICTURE, user="made"), time=1.0)
    camera.push(Frame(PICTURE, user="made"), time=2.0, user=7)
    camera.end()

    assert [item.user for item in camera.items(0.0) if isinstance(item, Frame)] == ["made", 7]


@pytest.mark.parametrize(
    "user", [object(), {1j}, float("nan"), {"a": b"bytes"}], ids=["object", "set", "nan", "bytes"]
)
def test_a_user_value_that_json_cannot_hold_is_refused_where_it_is_given(user: object) -> None:
    with pytest.raises(InputError, match="give what JSON can hold"):
        Push().push(PICTURE, user=user)
