"""The bounded place between a thread that reads frames and the one that asks about them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources.source import Item

MOST_CHANGES = 256  # a camera that flaps while nobody listens must not fill the memory
PATIENCE = 1.5  # seconds that a reader has to say ENDED after a stop; users are promised 2


class Mailbox:
    """Items in order; whatever leaves without being taken is counted in the item after it."""

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots  # frames that may wait
        self._items: deque[Item] = deque()
        self._carry = Counts()  # what happened since the last item in the queue
        self._stopped_at: float | None = None
        self._clock = clock
        self._changed = threading.Condition()  # over an RLock: a signal handler may call stop

    @property
    def stopped(self) -> bool:
        """True once nobody wants frames any more."""
        return self._stopped_at is not None

    @property
    def holds_frame(self) -> bool:
        """True if a frame waits to be taken."""
        with self._changed:
            return self._frames() > 0

    def put(self, item: Item) -> None:
        """Add an item; a frame waits for a free place (files: nothing may be lost)."""
        with self._changed:
            if isinstance(item, Frame):
                self._changed.wait_for(lambda: self.stopped or self._frames() < self._slots)
            self._add(item)

    def offer(self, item: Item) -> None:
        """Add an item without waiting; if there is no place, the oldest frame leaves as `busy`."""
        with self._changed:
            self._add(item)
            if self._frames() > self._slots:
                self._drop_oldest(Frame, "busy")
            elif len(self._items) - self._frames() > MOST_CHANGES:
                self._drop_oldest(SourceChange, "")

    def count(self, counts: Counts) -> None:
        """Note what happened between two items."""
        with self._changed:
            self._carry += counts

    def items(self, before_each: Callable[[], None] = lambda: None) -> Iterator[Item]:
        """Everything up to ENDED; `before_each` is called before the wait for an item."""
        while True:
            before_each()
            item = self.take()
            yield item
            if isinstance(item, SourceChange) and item.state == "ENDED":
                return

    def take(self) -> Item:
        """The next item, as soon as there is one; after a stop, ENDED within PATIENCE."""
        with self._changed:
            while not self._items:
                if self._stopped_at is None:
                    self._changed.wait()
                elif (left := self._stopped_at + PATIENCE - self._clock()) > 0:
                    self._changed.wait(left)
                else:
                    self._add(SourceChange("ENDED", "stopped; its reader hangs"))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def stop(self) -> None:
        """Want no more frames: those that wait, and those still to come, are counted as closed."""
        with self._changed:
            if self._stopped_at is None:
                self._stopped_at = self._clock()
                while self._frames():
                    self._drop_oldest(Frame, "closed")
            self._changed.notify_all()

    def _frames(self) -> int:
        return sum(isinstance(item, Frame) for item in self._items)

    def _add(self, item: Item) -> None:
        if self.stopped and isinstance(item, Frame):
            self._carry += item.before + Counts(1, 0, {"closed": 1})
            return
        self._items.append(replace(item, before=self._carry + item.before))
        self._carry = Counts()
        self._changed.notify_all()

    def _drop_oldest(self, kind: type[Item], cause: str) -> None:
        """Take the oldest item of a kind out and fold its counts into its successor."""
        place, item = next(
            (place, item) for place, item in enumerate(self._items) if isinstance(item, kind)
        )
        gone = item.before + Counts(1, 0, {cause: 1}) if isinstance(item, Frame) else item.before
        del self._items[place]
        if place < len(self._items):
            successor = self._items[place]
            self._items[place] = replace(successor, before=gone + successor.before)
        else:
            self._carry = gone + self._carry
