"""Waiting work of many clients, none of which waits for another one's heap.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): each piece of work gets the time at which it
would begin if all clients were served side by side, and the earliest one is next.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

from skyeye_edge.core.errors import BusyError

_Work = TypeVar("_Work")


class FairQueue(Generic[_Work]):
    """For any number of threads that put, and those that get.

    Args:
        limit: so many pieces of work may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[float, int, _Work]] = []
        self._ends: dict[Hashable, float] = {}  # when the last work of a client would be done
        self._now = 0.0
        self._numbers = count()
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, work: _Work, client: Hashable, cost: float = 1.0) -> None:
        """Append to a client's line; the higher the cost, the longer until its next turn.

        Raises:
            BusyError: as much waits as may.
        """
        with self._changed:
            if len(self._heap) >= self._limit:
                raise BusyError(
                    f"{self._limit} questions wait for an answer already; ask again when some of "
                    "them are answered, or cancel those that nobody needs any more"
                )
            start = max(self._now, self._ends.get(client, 0.0))
            self._ends[client] = start + cost
            heapq.heappush(self._heap, (start, next(self._numbers), work))
            self._changed.notify()

    def get(self) -> _Work | None:
        """The next work; waits for it. None: the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._heap or self._closed)
            return self._pop()

    def get_nowait(self) -> _Work | None:
        """The next work; None if nothing waits."""
        with self._changed:
            return self._pop()

    def close(self) -> None:
        """Wake those that wait in `get`, once everything was taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _pop(self) -> _Work | None:
        if not self._heap:
            return None
        self._now, _, work = heapq.heappop(self._heap)
        if not self._heap:  # whoever comes now begins anew
            self._ends = {client: end for client, end in self._ends.items() if end > self._now}
        return work
