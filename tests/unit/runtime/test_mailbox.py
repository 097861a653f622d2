"""The bounded place between reader and asker."""

from __future__ import annotations

import itertools
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources.mailbox import MOST_CHANGES, Mailbox

PIXEL = np.zeros((1, 1, 3), np.uint8)
ENDED = SourceChange("ENDED", "over")


def frame(index: int, before: Counts | None = None) -> Frame:
    return Frame(PIXEL, index=index, before=before or Counts())


def drain(box: Mailbox) -> list[Frame | SourceChange]:
    """Everything that is left, up to ENDED."""
    return list(box.items())


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    box = Mailbox(4)
    for index in range(3):
        box.put(frame(index))

    taken = [box.take() for _ in range(3)]

    assert [item.index for item in taken if isinstance(item, Frame)] == [0, 1, 2]


def test_the_oldest_frame_leaves_a_full_box_and_is_counted_as_busy_in_its_successor() -> None:
    box = Mailbox(1)
    box.offer(frame(0, Counts(4, 4)))
    box.offer(frame(1, Counts(2, 1, {"decode": 1})))

    item = box.take()

    assert isinstance(item, Frame)
    assert (item.index, item.before) == (1, Counts(7, 5, {"busy": 1, "decode": 1}))


def test_changes_of_state_never_leave_for_a_frame() -> None:
    box = Mailbox(1)
    live = SourceChange("LIVE", "frames arrive")
    for item in (frame(0), live, frame(1), frame(2)):
        box.offer(item)

    first, second = box.take(), box.take()

    assert isinstance(first, SourceChange)
    assert (first.state, first.before) == ("LIVE", Counts(1, 0, {"busy": 1}))
    assert isinstance(second, Frame)
    assert (second.index, second.before) == (2, Counts(1, 0, {"busy": 1}))


def test_a_flapping_camera_does_not_fill_the_memory() -> None:
    box = Mailbox(1)
    for number in range(MOST_CHANGES + 10):
        box.count(Counts(1, 1))
        box.offer(SourceChange("LIVE", str(number)))

    first = box.take()

    assert isinstance(first, SourceChange)
    assert (first.cause, first.before) == ("10", Counts(11, 11))


def test_frames_that_wait_when_the_stream_is_stopped_are_counted_as_closed() -> None:
    box = Mailbox(2)
    box.put(frame(0))
    box.put(frame(1))
    box.stop()
    box.put(frame(2))
    box.put(ENDED)

    last = box.take()

    assert isinstance(last, SourceChange)
    assert (last.state, last.before) == ("ENDED", Counts(3, 0, {"closed": 3}))


def test_a_writer_that_waits_for_a_place_is_set_free_by_a_stop() -> None:
    box = Mailbox(1)
    box.put(frame(0))
    writer = threading.Thread(target=box.put, args=(frame(1),))
    writer.start()

    box.stop()
    writer.join(timeout=300)

    assert not writer.is_alive()


def test_a_reader_that_hangs_is_left_behind_after_a_stop() -> None:
    seconds = itertools.count()
    box = Mailbox(1, clock=lambda: float(next(seconds)))
    box.put(frame(0))
    box.stop()

    last = box.take()

    assert isinstance(last, SourceChange)
    assert (last.state, last.before) == ("ENDED", Counts(1, 0, {"closed": 1}))


@given(
    slots=st.integers(1, 3),
    steps=st.lists(st.sampled_from(["frame", "skip", "fail", "change", "take", "stop"])),
)
def test_every_frame_is_taken_or_counted_whatever_happens(slots: int, steps: list[str]) -> None:
    box = Mailbox(slots)
    received = 0
    taken: list[Frame | SourceChange] = []
    for number, step in enumerate(steps):
        match step:
            case "frame":
                box.offer(frame(number))
            case "skip":
                box.count(Counts(1, 1))
            case "fail":
                box.count(Counts(1, 0, {"decode": 1}))
            case "change":
                box.offer(SourceChange("LIVE", "again"))
            case "take" if box.holds_frame:
                taken.append(box.take())
            case "stop":
                box.stop()
        received += step in ("frame", "skip", "fail")
    box.offer(ENDED)
    taken += drain(box)

    counts = sum((item.before for item in taken), Counts())
    answered = sum(isinstance(item, Frame) for item in taken)
    assert counts.received + answered == received
    assert counts.received == counts.skipped + sum(counts.dropped.values())
