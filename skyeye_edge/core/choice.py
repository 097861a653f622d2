"""How the next token is chosen: one rule for both language models, so that answers can be equal.

Besides the token, a choice says what scores of boxes are made of: how probable a coordinate is
together with its neighbours, and, where an answer decides between a box and absent, the presence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.automaton import State, TokenIds, Vocabulary
from skyeye_edge.core.reply import Reply, Stopped

Logits = npt.NDArray[np.float32]
Pick = Callable[[Logits], int]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One token; the numbers are shares of what was allowed."""

    token: int
    probability: float = 1.0
    nearby: float = 1.0  # with the tokens that write the number one higher or one lower
    presence: float | None = None  # of a box against absent; None: this token does not decide it
    free: bool = False  # False: there was nothing else
    logits: Logits | None = None  # (n,) of the allowed tokens, as they were compared; None: forced
    allowed: TokenIds | None = None  # (n,); None: all

    def spread(self, rows: int) -> Logits | None:
        """The logits over all `rows` tokens, -inf where one was not allowed; a copy."""
        if self.logits is None:
            return None
        spread = np.full(rows, -np.inf, np.float32)
        spread[slice(None) if self.allowed is None else self.allowed] = self.logits
        return spread


def choose(
    logits: Logits, vocabulary: Vocabulary, state: State | None = None, pick: Pick | None = None
) -> Choice:
    """The next token.

    Args:
        logits: (V,) of all tokens.
        vocabulary: what the tokens write.
        state: where in the answer's automaton we are, with at least two tokens allowed; None: any
            token may come.
        pick: index of the token to take; None takes the best.
    """
    allowed = state.allowed() if state else None
    verdict = state.verdict() if state else None
    scores = logits if allowed is None else logits[allowed]
    compared = verdict.shifted(scores) if verdict else scores
    index = pick(compared) if pick else int(compared.argmax())
    best = scores[index] if compared is scores and pick is None else scores.max()
    weights = np.exp(scores - best)
    total = weights.sum()
    token = index if allowed is None else int(allowed[index])
    probability = float(weights[index] / total)
    near = vocabulary.neighbours(token)
    return Choice(
        token=token,
        probability=probability,
        nearby=float(weights[_places(near, allowed)].sum() / total)
        if len(near) > 1
        else probability,
        presence=verdict.presence(scores) if verdict else None,
        free=True,
        logits=compared,
        allowed=allowed,
    )


def _places(tokens: TokenIds, allowed: TokenIds | None) -> TokenIds:
    """Where those of `tokens` that are allowed stand in the sorted list of these."""
    if allowed is None:
        return tokens
    places = allowed.searchsorted(tokens)
    there: TokenIds = places[allowed.take(places, mode="clip") == tokens]
    return there


@dataclass(slots=True)
class ReplyBuilder:
    """A reply under construction."""

    vocabulary: Vocabulary
    keep_logits: bool = False
    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    nearby: list[float] = field(default_factory=list)
    free: list[bool] = field(default_factory=list)
    logits: list[Logits | None] = field(default_factory=list)
    presence: float | None = None

    def note(self, choice: Choice) -> None:
        """What a choice was made among; the end token's too, which no reply lists."""
        if choice.presence is not None:
            self.presence = choice.presence
        if self.keep_logits:
            self.logits.append(choice.spread(len(self.vocabulary.pieces)))

    def add(self, choice: Choice) -> int:
        """Append a token; gives the number of tokens."""
        self.ids.append(choice.token)
        self.probabilities.append(choice.probability)
        self.nearby.append(choice.nearby)
        self.free.append(choice.free)
        return len(self.ids)

    def reply(self, stopped: Stopped) -> Reply:
        """What was written."""
        pieces = self.vocabulary.pieces
        return Reply(
            ids=tuple(self.ids),
            pieces=tuple(pieces[token] or b"" for token in self.ids),
            probabilities=tuple(self.probabilities),
            free=tuple(self.free),
            stopped=stopped,
            logits=tuple(self.logits) if self.keep_logits else None,
            nearby=tuple(self.nearby),
            presence=self.presence,
        )
