"""The only owner of KV memory and sequence ids: finds what is already computed, by content.

A prompt is a row of runs, and only whole runs are shared. So a run is always computed as one batch,
at the same place of its sequence, behind the same runs: an answer is the same to the last bit,
whatever was asked before it. (Shared token by token, the batches would differ in length; that moves
the logits of a Q8_0 model by up to 0.1, because it rounds its activations to 8 bits.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.runtime.libllama import LlamaContext, Logits, Tokens

WORTH = 16  # positions; less than that is computed again rather than shared
SHORT = 128  # positions that may be lost where a sequence is cut back


@dataclass(frozen=True, slots=True)
class TokenRun:
    """Neighbouring tokens of a prompt."""

    content: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True, eq=False)
class ImageRun:
    """The visual tokens (N, d) of one frame; equal keys, equal tokens."""

    content: bytes
    tokens: VisualTokens

    def __len__(self) -> int:
        return len(self.tokens)


Run = TokenRun | ImageRun


class LiveSequence:
    """A sequence in KV memory that grows at its end."""

    def __init__(self, context: LlamaContext, number: int) -> None:
        self._context = context
        self.number = number
        self.runs: list[Run] = []  # of its prompt
        self.length = 0  # positions, generated tokens included

    def append(self, run: Run) -> None:
        """Compute a run of the prompt that another one follows."""
        match run:
            case TokenRun(content=tokens):
                self._context.decode_run(Tokens(self.number, self.length, tokens, 0))
            case ImageRun(tokens=rows):
                self._context.decode_embeddings(self.number, self.length, rows)
        self.runs.append(run)
        self.length += len(run)

    def append_last(self, run: TokenRun, guess: Sequence[int]) -> Logits:
        """Compute a prompt's last run, and behind it tokens that are not counted in yet.

        Returns:
            (1 + guess, V) logits after the run, and after each token of the guess.
        """
        tokens = (*run.content, *guess)
        part = Tokens(self.number, self.length, tokens, 1 + len(guess))
        logits = self._context.decode_run(part)
        self.runs.append(run)
        self.length += len(run)
        return logits

    def advance(self, right: int, computed: int) -> None:
        """Count generated tokens in: of so many that were computed, the first that are right."""
        self.length += right
        if right < computed:
            self._context.remove(self.number, self.length)

    def cut(self, runs: int) -> None:
        """Forget everything behind the first so many runs."""
        del self.runs[runs:]
        self.length = sum(map(len, self.runs))
        self._context.remove(self.number, self.length)


class PrefixCache:
    """What the KV memory holds, least recently used first.

    A sequence that was taken belongs to one reply until it is given back; others may copy from it.
    """

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._known = [LiveSequence(context, n) for n in range(context.options.sequences)]
        self._taken: set[LiveSequence] = set()
        self.reused = 0  # positions of prompts that did not have to be computed again
        self.computed = 0  # positions that had to

    @property
    def free(self) -> int:
        """How many sequences nobody has taken."""
        return len(self._known) - len(self._taken)

    def take(self, prompt: Sequence[Run], guess: Sequence[int] = ()) -> tuple[LiveSequence, Logits]:
        """A sequence that holds `prompt`, and logits as of `append_last`; one must be free.

        Raises:
            BackendError: llama.cpp failed; what the sequence held is forgotten.
        """
        live = self._begin(prompt)
        self._known.remove(live)  # whoever is used last stands last
        self._known.append(live)
        try:
            logits = self._compute(live, prompt, guess)
        except BaseException:
            live.cut(0)
            raise
        self._taken.add(live)
        return live, logits

    def give_back(self, live: LiveSequence, *, whole: bool) -> None:
        """End a reply; not `whole`: what its sequence holds is in doubt and is forgotten."""
        self._taken.discard(live)
        if not whole:
            live.cut(0)

    def _begin(self, prompt: Sequence[Run]) -> LiveSequence:
        wanted = prompt[:-1]  # the last run is computed: its logits are needed
        best, shared = self._longest(wanted)
        kept = sum(map(len, prompt[:shared]))
        oldest = next(known for known in self._known if known not in self._taken)
        if kept < WORTH:
            live = oldest
            live.cut(_common(live.runs, wanted))
        elif best not in self._taken and (best.length - kept <= SHORT or best is oldest):
            live = best
            live.cut(shared)
        else:  # a reply at work, or a long conversation, stays what it is
            live = oldest
            live.cut(0)
            self._context.copy(best.number, live.number, best.length)
            live.runs, live.length = list(best.runs), best.length
            live.cut(shared)
        return live

    def _longest(self, prompt: Sequence[Run]) -> tuple[LiveSequence, int]:
        """The sequence with most runs in common, and how many; among equals one that is free."""
        best, longest = self._known[-1], (-1, False)
        for known in reversed(self._known):
            shared = (_common(known.runs, prompt), known not in self._taken)
            if shared > longest:
                best, longest = known, shared
        return best, longest[0]

    def _compute(self, live: LiveSequence, prompt: Sequence[Run], guess: Sequence[int]) -> Logits:
        last = prompt[-1]
        assert isinstance(last, TokenRun), "a prompt ends in text"
        self.reused += live.length
        self.computed += sum(map(len, prompt)) - live.length
        for run in prompt[len(live.runs) : -1]:
            live.append(run)
        return live.append_last(last, guess)


def _common(known: Sequence[Run], prompt: Sequence[Run]) -> int:
    """Number of equal runs at the beginning of both."""
    for number, (mine, other) in enumerate(zip(known, prompt, strict=False)):
        if mine.content != other.content:
            return number
    return min(len(known), len(prompt))
