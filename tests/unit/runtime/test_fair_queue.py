"""Clients take turns, however much each of them asks."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import BusyError
from skyeye_edge.runtime.fair_queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    found = []
    while (work := queue.get_nowait()) is not None:
        found.append(work)
    return found


def test_a_short_line_does_not_wait_for_a_long_one() -> None:
    queue: FairQueue[str] = FairQueue(100)
    for number in range(50):
        queue.put(f"many {number}", "many")
    queue.put("one", "one")

    order = drained(queue)

    assert order.index("one") <= 1
    assert [work for work in order if work != "one"] == [f"many {n}" for n in range(50)]


def test_work_that_costs_more_leaves_more_turns_to_others() -> None:
    queue: FairQueue[str] = FairQueue(100)
    for _ in range(12):
        queue.put("a", "a", cost=1.0)
        queue.put("b", "b", cost=3.0)

    first = drained(queue)[:12]

    assert (first.count("a"), first.count("b")) == (9, 3)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=60),
)
def test_no_client_waits_for_more_than_a_turn_of_each_other(steps: list[tuple[int, bool]]) -> None:
    queue: FairQueue[tuple[int, int]] = FairQueue(1000)
    waiting: dict[int, int] = {}  # client: turns of others since its oldest work waits
    for number, (client, is_put) in enumerate(steps):
        if is_put:
            queue.put((client, number), client)
            waiting.setdefault(client, 0)
        elif (work := queue.get_nowait()) is not None:
            served = work[0]
            waiting = {each: turns + (each != served) for each, turns in waiting.items()}
            still = any(item[2][0] == served for item in queue._heap)
            waiting.pop(served)
            if still:
                waiting[served] = 0
            assert all(turns <= 2 * 6 for turns in waiting.values())


def test_more_than_the_limit_is_refused_and_nothing_is_lost() -> None:
    queue: FairQueue[str] = FairQueue(2)
    queue.put("a", 1)
    queue.put("b", 2)

    with pytest.raises(BusyError, match="2 questions wait"):
        queue.put("c", 3)

    assert drained(queue) == ["a", "b"]


def test_those_that_wait_hear_of_the_end() -> None:
    queue: FairQueue[str] = FairQueue(2)
    found: list[str | None] = []
    waiter = threading.Thread(target=lambda: found.extend([queue.get(), queue.get()]))
    waiter.start()

    queue.put("a", 1)
    queue.close()
    waiter.join(20)

    assert found == ["a", None]
