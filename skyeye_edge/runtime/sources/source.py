"""What a stream needs of a source; the sources themselves stand beside it, one file each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from skyeye_edge.core.frame import Frame, SourceChange

Item = Frame | SourceChange


class Source(Protocol):
    """Where frames come from; see `skyeye_edge.runtime.sources`."""

    name: str  # for humans, free of credentials

    def items(self, every: float) -> Iterator[Item]:
        """Frames at least `every` seconds apart; the last item is ENDED. To be called once."""

    def stop(self) -> None:
        """Want no more frames: `items` soon goes on to ENDED. From any thread, and twice."""

    def close(self) -> None:
        """Give back whatever is held open. Closing twice is fine."""
