"""Which data set and which of its images a sample is of; a function of the sample's number alone.

By steps, sets are drawn by their ratios and images with replacement. By epochs, every set is gone
through without replacement: `ratio` times in an epoch, and no further than its cap, so that a huge
set does not swamp the rest; the next epoch goes on where this one stopped.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """A data set in a mixture."""

    size: int  # images, at least 1
    ratio: float  # how often it is drawn, relative to the others; by epochs: times in one
    cap: int = 0  # images in an epoch at most; 0: all


class Mixture:
    """The order of a stage's samples."""

    def __init__(
        self, parts: Sequence[Part], *, key: str, batch: int, by_epochs: bool, one_set: bool
    ) -> None:
        """Args:
        parts: the data sets; one at least has a ratio above 0.
        key: another one gives another order.
        batch: samples that are learnt together.
        by_epochs: without replacement, see above.
        one_set: every batch is of one data set.
        """
        self._parts, self._key, self._batch = tuple(parts), key, batch
        self._by_epochs, self._one_set = by_epochs, one_set
        self._known: tuple[int, Places] | None = None  # the epoch that was last asked for

    def epoch_length(self) -> int:
        """Samples of an epoch."""
        return sum(self._share(part) for part in self._parts)

    def places(self, index: int, chance: random.Random) -> Iterator[tuple[int, int]]:
        """(data set, image) of a sample, and without end what may stand in for it.

        Args:
            index: of the sample.
            chance: draws; the sample's own.
        """
        if self._by_epochs:
            epoch, place = divmod(index, self.epoch_length())
            number, image = (int(each) for each in self._epoch(epoch)[place])
            yield number, image
        elif self._one_set:
            own = random.Random(f"{self._key} batch {index // self._batch}")  # noqa: S311
            number = self._draw_set(own)
        while True:
            if not (self._by_epochs or self._one_set):
                number = self._draw_set(chance)
            yield number, chance.choice(range(self._parts[number].size))

    def _draw_set(self, chance: random.Random) -> int:
        ratios = [part.ratio for part in self._parts]
        return chance.choices(range(len(ratios)), ratios)[0]

    def _share(self, part: Part) -> int:
        """Samples of a part in an epoch: whole batches where each is of one set."""
        if not part.ratio:
            return 0
        wanted = max(1, round(part.ratio * min(part.size, part.cap or part.size)))
        return -(-wanted // self._batch) * self._batch if self._one_set else wanted

    def _epoch(self, epoch: int) -> Places:
        """(samples, 2) data set and image of every sample of an epoch."""
        if self._known is None or self._known[0] != epoch:
            rows = [self._lot(number, epoch) for number in range(len(self._parts))]
            table = np.concatenate(rows)
            groups = table.reshape(-1, self._batch if self._one_set else 1, 2)
            order = self._random(f"epoch {epoch}").permutation(len(groups))
            self._known = epoch, groups[order].reshape(-1, 2)
        return self._known[1]

    def _lot(self, number: int, epoch: int) -> Places:
        """(samples, 2): the stretch of a part's own endless order that an epoch takes."""
        part = self._parts[number]
        share = self._share(part)
        if not share:
            return np.zeros((0, 2), np.int64)
        first, last = epoch * share, (epoch + 1) * share
        passes = range(first // part.size, (last - 1) // part.size + 1)
        orders = [self._random(f"set {number} {each}").permutation(part.size) for each in passes]
        start = first - passes[0] * part.size
        images = np.concatenate(orders)[start : start + share]
        return np.stack([np.full_like(images, number), images], axis=1)

    def _random(self, what: str) -> np.random.Generator:
        digest = hashlib.blake2b(f"{self._key} {what}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))
