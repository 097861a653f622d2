"""Guesses of how an answer goes on, from answers to the same question (prompt look-up decoding).

A guess is computed together with the token before it, and what the model would not have said is
thrown away: a good guess saves calls, a bad one costs a little, neither changes the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

_START = -1  # stands before an answer
_KNOWN_PAIRS = 4096  # of tokens; more are forgotten at once
_KNOWN_QUESTIONS = 64
_PATIENCE = 16  # answers without a guess before another one is tried
_MEMORY = 0.8  # of the acceptance so far, per guess


class Drafts:
    """What followed each pair of tokens in the answers to one question, the last time."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, int], tuple[Sequence[int], int]] = {}
        self._accepted = 1.0  # share of the guessed tokens, recent ones most
        self._silent = 0  # steps since the last guess

    def guess(self, ids: Sequence[int], limit: int) -> Sequence[int]:
        """Up to `limit` tokens that may follow `ids`, the answer so far; fewer if most fail."""
        wanted = min(limit, self._worth())
        if wanted < 1:
            return ()
        before = (_START, _START, *ids[-2:])[-2:]
        answer, place = self._after.get((before[0], before[1]), ((), 0))
        return answer[place : place + wanted]

    def _worth(self) -> int:
        """How many tokens are worth guessing: more than half of them should be right."""
        if self._accepted > 0.5:
            return round(1 / (1.01 - self._accepted))
        self._silent += 1
        if self._silent < _PATIENCE:
            return 0
        self._silent = 0
        return 1

    def count(self, guessed: int, accepted: int) -> None:
        """How a guess went."""
        for number in range(min(guessed, accepted + 1)):
            self._accepted = _MEMORY * self._accepted + (1 - _MEMORY) * (number < accepted)

    def learn(self, ids: Sequence[int]) -> None:
        """Remember an answer."""
        if len(self._after) > _KNOWN_PAIRS:
            self._after.clear()
        before = (_START, _START)
        for place, token in enumerate(ids):
            self._after[before] = (ids, place)
            before = (before[1], token)


class DraftBook:
    """The drafts of each question that was asked lately."""

    def __init__(self) -> None:
        self._drafts: OrderedDict[Hashable, Drafts] = OrderedDict()

    def about(self, question: Hashable) -> Drafts:
        """Those of one question; new ones if it was never asked."""
        drafts = self._drafts.pop(question, None) or Drafts()
        self._drafts[question] = drafts
        if len(self._drafts) > _KNOWN_QUESTIONS:
            self._drafts.popitem(last=False)
        return drafts
