"""When frames are, and which of them are due."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.timing import Lag, MediaClock, Moment, Sampler


def due(every: float, times: list[float]) -> list[float]:
    """The times that a new sampler chooses."""
    sampler = Sampler(every)
    return [time for time in times if sampler.is_due(time)]


@pytest.mark.parametrize(
    ("every", "times", "chosen"),
    [
        pytest.param(0.0, [0.0, 0.0, 0.1], [0.0, 0.0, 0.1], id="zero is every frame"),
        pytest.param(1.0, [0.0, 0.4, 0.9999999, 1.2], [0.0, 0.9999999], id="rounded stamps"),
        pytest.param(1.0, [0.5, 1.4, 1.5, 2.6], [0.5, 1.5, 2.6], id="counted from the first frame"),
        pytest.param(
            1.0, [0.0, 3.7, 3.9, 4.0], [0.0, 3.7, 4.0], id="a gap does not shift the grid"
        ),
        pytest.param(1.0, [5.0, 0.0, 0.5, 1.0], [5.0, 0.0, 1.0], id="a source that begins anew"),
    ],
)
def test_the_first_frame_of_each_interval_is_due(
    every: float, times: list[float], chosen: list[float]
) -> None:
    assert due(every, times) == chosen


@given(
    every=st.floats(0.1, 10),
    steps=st.lists(st.floats(0.001, 5), min_size=1, max_size=50),
)
def test_no_interval_has_two_due_frames_and_the_first_frame_is_always_due(
    every: float, steps: list[float]
) -> None:
    times = [sum(steps[:count]) for count in range(len(steps) + 1)]

    chosen = due(every, times)

    slots = [int((time - times[0] + 1e-6) / every) for time in chosen]
    assert chosen[0] == times[0]
    assert len(set(slots)) == len(slots)


@pytest.mark.parametrize("every", [-1.0, float("nan"), float("inf")])
def test_an_interval_that_is_no_duration_is_refused(every: float) -> None:
    with pytest.raises(InputError, match="seconds between answers"):
        Sampler(every)


@pytest.mark.parametrize(
    ("stamps", "times", "epoch"),
    [
        pytest.param([7.0, 7.5, 9.0], [0.0, 0.5, 2.0], 0, id="from the first frame on"),
        pytest.param([None] * 3, [0.0, 0.1, 0.2], 0, id="no stamp at all"),
        pytest.param([None, 1.0, 1.2], [0.0, 0.1, 0.3], 0, id="first stamp missing"),
        pytest.param([1.0, None, 1.2], [0.0, 0.1, 0.2], 0, id="stamp missing on the way"),
        pytest.param([5.0, 5.1, 0.0, 0.1], [0.0, 0.1, 0.2, 0.3], 1, id="sender began anew"),
        pytest.param([5.0, 5.1, 9.0, 9.1], [0.0, 0.1, 0.2, 0.3], 1, id="a jump is not believed"),
    ],
)
def test_media_time_runs_on_whatever_the_stamps_do(
    stamps: list[float | None], times: list[float], epoch: int
) -> None:
    clock = MediaClock(jump=2.0)

    told = [clock.tell(stamp, 0.1 * number) for number, stamp in enumerate(stamps)]

    assert [moment.time for moment in told] == pytest.approx(times)
    assert [moment.index for moment in told] == list(range(len(stamps)))
    assert told[-1].epoch == epoch


@pytest.mark.parametrize("bits", [33, 32])
def test_time_runs_on_for_days_over_every_wrap_of_the_stamps(bits: int) -> None:
    clock = MediaClock(jump=2.0)
    wrap = 2**bits / 90_000

    for second in range(72 * 3600):
        moment = clock.tell((second + 1000.0) % wrap, float(second))

    assert (round(moment.time, 3), moment.epoch) == (72 * 3600 - 1, 0)


def test_a_sender_that_begins_anew_near_a_wrap_is_a_new_epoch() -> None:
    clock = MediaClock(jump=2.0)

    told = [clock.tell(stamp, 0.1 * n) for n, stamp in enumerate((95_000.0, 95_000.1, 3.0))]

    assert [moment.epoch for moment in told] == [0, 0, 1]
    assert told[-1].time == pytest.approx(0.2)


def test_a_file_may_stand_still_for_as_long_as_it_likes() -> None:
    clock = MediaClock()

    told = [clock.tell(stamp, 0.04 * number) for number, stamp in enumerate((0.0, 600.0))]

    assert [(moment.time, moment.epoch) for moment in told] == [(0.0, 0), (600.0, 0)]


def test_index_time_and_epoch_go_on_over_a_reconnection() -> None:
    before = MediaClock(jump=2.0)
    for number in range(30):
        last = before.tell(7.0 + number, 100.0 + number)

    first = MediaClock(last, jump=2.0).tell(0.0, 140.0)

    assert (last.index, last.epoch, last.time) == (29, 0, 29.0)
    assert (first.index, first.epoch, first.time) == (30, 1, 40.0)


def test_a_first_try_without_frames_is_no_restart() -> None:
    empty = MediaClock(jump=2.0)

    first = MediaClock(empty.last, jump=2.0).tell(3.0, 60.0)

    assert (first.index, first.epoch, first.time) == (0, 0, 0.0)


@given(
    openings=st.lists(
        st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_indices_rise_by_one_and_time_never_goes_back(
    openings: list[list[tuple[float, bool, bool]]],
) -> None:
    told = []
    now, last = 1000.0, None
    for frames in openings:
        clock = MediaClock(last, jump=2.0)
        stamp, now = 50.0, now + 0.5
        for step, restarts, untimed in frames:
            now += step
            stamp = 0.0 if restarts else stamp + step
            told.append(clock.tell(None if untimed else stamp, now))
        last = clock.last

    assert [moment.index for moment in told] == list(range(len(told)))
    assert [moment.time for moment in told] == sorted(moment.time for moment in told)
    assert [moment.epoch for moment in told] == sorted(moment.epoch for moment in told)


def moments(steps: list[tuple[float, float]]) -> list[Moment]:
    """Frames after so many seconds of media time and of arrival."""
    media = itertools.accumulate(step for step, _ in steps)
    wall = itertools.accumulate((step for _, step in steps), initial=100.0)
    next(wall)
    return [Moment(0, 0, time, arrived, 100.0) for time, arrived in zip(media, wall, strict=True)]


def test_lag_is_measured_against_the_quickest_frame() -> None:
    burst_and_stall = [(0.1, 0.0)] * 5 + [(0.1, 0.1)] * 5 + [(0.1, 1.1)] + [(0.1, 0.1)] * 5
    lag = Lag(budget=9.0)

    told = [lag.tell(moment) for moment in moments(burst_and_stall)]

    assert told == pytest.approx([0.0] * 10 + [1.0] * 6, abs=0.01)


def test_a_clock_that_runs_a_little_slower_than_ours_is_no_lag() -> None:
    hours = moments([(1.0, 1.0001)] * 5 * 3600)
    lag = Lag(budget=2.0)

    assert max(lag.tell(moment) for moment in hours) < 0.01


def test_a_backlog_is_skipped_and_a_late_sender_is_put_up_with() -> None:
    late = [(0.1, 0.1)] * 5 + [(0.1, 3.0)]
    backlog, sender = Lag(budget=2.0), Lag(budget=2.0)
    for moment in moments([*late, (1.5, 0.01), (0.1, 0.01)]):
        backlog.tell(moment)
    for moment in moments([*late, (1.0, 1.0), (0.1, 0.1)]):
        sender.tell(moment)

    assert backlog.skipping_since is None
    assert sender.skipping_since is None
    assert sender.tell(Moment(9, 0, 3.0, 108.0, 100.0)) > 2.0


def test_more_than_the_budget_asks_for_a_skip() -> None:
    lag = Lag(budget=2.0)
    asked = []
    for moment in moments([(0.1, 0.1), (0.1, 1.5), (0.1, 1.5)]):
        lag.tell(moment)
        asked.append(lag.skipping_since is not None)

    assert asked == [False, False, True]
