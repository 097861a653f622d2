"""The only owner of KV memory and sequence ids: finds what is already computed, by content.

A position's content is its token id, or the image's key and the row in it. Never a count: two
prompts share a beginning only if everything in it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import BackendError
from skyeye_edge.runtime.libllama import LlamaContext, Logits

Content = int | tuple[bytes, int]  # a token id, or a row of the image with this key


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Neighbouring positions of one kind: token ids (n,) int32 or embeddings (n, d) float32."""

    content: tuple[Content, ...]
    rows: npt.NDArray[np.int32] | npt.NDArray[np.float32]


class LiveSequence:
    """A sequence in KV memory that grows at its end."""

    def __init__(self, context: LlamaContext, number: int, content: list[Content]) -> None:
        self._context = context
        self.number = number
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def append(self, run: Run) -> Logits | None:
        """Compute a run; logits after its last token, None after embeddings."""
        if run.rows.ndim == 2:
            self._context.decode_embeddings(
                self.number, len(self.content), run.rows.astype(np.float32, copy=False)
            )
            logits = None
        else:
            tokens = run.rows.astype(np.int32, copy=False)
            logits = self._context.decode_tokens(self.number, len(self.content), tokens)
        self.content += run.content
        return logits

    def append_token(self, token: int) -> Logits:
        """Compute one token; the logits after it, overwritten by the next call."""
        logits = self._context.decode_token(self.number, len(self.content), token)
        self.content.append(token)
        return logits

    def append_tokens(self, tokens: Sequence[int]) -> Logits:
        """Compute several tokens in one go; the logits after the last one."""
        rows = np.array(tokens, np.int32)
        logits = self._context.decode_tokens(self.number, len(self.content), rows)
        self.content += tokens
        return logits


class PrefixCache:
    """What the KV memory holds, least recently used first."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._known: list[LiveSequence] = []
        self._free = list(range(context.options.sequences))
        self.reused = 0  # positions that did not have to be computed again
        self.computed = 0  # positions of prompts that had to

    @contextmanager
    def sequence(self, prompt: Sequence[Run], room: int) -> Iterator[LiveSequence]:
        """A sequence that holds the longest known part of `prompt`, but never its last position.

        It stays known afterwards. When the block fails, what it holds is in doubt and is forgotten.

        Args:
            prompt: what will be asked; what is missing of it is for the caller to append.
            room: how many positions the sequence may have in the end.
        """
        content = [item for run in prompt for item in run.content]
        live = self._begin(content, room)
        self.reused += len(live)
        self.computed += len(content) - len(live)
        try:
            yield live
        except BaseException:
            self._forget(live)
            raise
        self._known.append(live)

    def _begin(self, content: list[Content], room: int) -> LiveSequence:
        if room > self._context.options.cells:
            raise BackendError(
                f"{room} positions asked for, {self._context.options.cells} there are"
            )
        best, shared = self._longest(
            content[:-1]
        )  # the last one is computed: its logits are needed
        if best is not None and shared == len(best):
            self._known.remove(best)  # nothing of it is lost by going on where it ends
            live = best
        else:
            live = LiveSequence(self._context, self._number(keep=best), [])
            self._share(best, shared, live)
        self._make_room(room)
        return live

    def _longest(self, content: list[Content]) -> tuple[LiveSequence | None, int]:
        best, longest = None, 0
        for known in self._known:
            shared = _common(known.content, content)
            if shared > longest:
                best, longest = known, shared
        return best, longest

    def _share(self, source: LiveSequence | None, length: int, target: LiveSequence) -> None:
        if source is None:
            return
        if source.number == target.number:  # the only sequence there is: shortened in place
            self._context.remove(source.number, length)
        else:
            self._context.copy(source.number, target.number, length)
        target.content = source.content[:length]

    def _number(self, keep: LiveSequence | None) -> int:
        """A free sequence id; the least recently used sequence but `keep` makes place for it."""
        if self._free:
            return self._free.pop()
        for known in self._known:
            if known is not keep:
                self._forget(known)
                return self._free.pop()
        assert keep is not None
        self._known.remove(keep)
        return keep.number

    def _make_room(self, room: int) -> None:
        # Shared positions are counted for each sequence: never too little, and cheap.
        while sum(map(len, self._known)) + room > self._context.options.cells:
            self._forget(self._known[0])

    def _forget(self, live: LiveSequence) -> None:
        self._context.remove(live.number)
        if live in self._known:
            self._known.remove(live)
        self._free.append(live.number)


def _common(known: Sequence[Content], content: Sequence[Content]) -> int:
    """Number of equal positions at the beginning of both."""
    for position, (mine, other) in enumerate(zip(known, content, strict=False)):
        if mine != other:
            return position
    return min(len(known), len(content))
