"""Frames are checked once, shared freely, and every one of them is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.frame import Counts, Frame


def test_a_frame_cannot_be_written_to() -> None:
    rgb = np.zeros((4, 8, 3), np.uint8)

    frame = Frame(rgb)

    assert not frame.rgb.flags.writeable
    assert rgb.flags.writeable  # the array of the caller stays as it was
    assert frame.size == (8, 4)


def test_the_order_of_opencv_is_turned_and_copied() -> None:
    bgr = np.zeros((1, 1, 3), np.uint8)
    bgr[0, 0] = (10, 20, 30)

    frame = Frame.from_bgr(bgr, time=1.5, index=7, source="camera")
    bgr[:] = 0

    assert frame.rgb[0, 0].tolist() == [30, 20, 10]
    assert (frame.time, frame.index, frame.source) == (1.5, 7, "camera")


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.zeros((4, 8), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 8, 4), np.uint8), id="with alpha"),
        pytest.param(np.zeros((4, 8, 3), np.uint16), id="16 bit"),
        pytest.param(np.zeros((0, 8, 3), np.uint8), id="empty"),
    ],
)
@pytest.mark.parametrize("make", [Frame, Frame.from_bgr])
def test_what_is_no_picture_is_refused(array: Any, make: Any) -> None:
    with pytest.raises(InputError, match="uint8"):
        make(array)


counts = st.builds(
    Counts,
    st.integers(0, 99),
    st.integers(0, 99),
    st.dictionaries(st.sampled_from(["busy", "stale", "decode"]), st.integers(0, 99)),
)


@given(first=counts, second=counts, third=counts)
def test_counts_add_up_in_any_grouping(first: Counts, second: Counts, third: Counts) -> None:
    total = first + second + third

    assert total == first + (second + third)
    assert total.received == first.received + second.received + third.received
    assert sum(total.dropped.values()) == sum(
        sum(part.dropped.values()) for part in (first, second, third)
    )


def test_adding_counts_leaves_both_as_they_were() -> None:
    first, second = Counts(1, 0, {"busy": 1}), Counts(1, 0, {"busy": 2})

    assert (first + second).dropped == {"busy": 3}
    assert (first.dropped, second.dropped) == ({"busy": 1}, {"busy": 2})
