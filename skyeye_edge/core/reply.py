"""What a language model gave back for one request, on either side (llama.cpp or PyTorch)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import SkyEyeError

Stopped = Literal["end", "length", "failed"]


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: logits have no single answer to ==
class Reply:
    """Generated tokens without the end token; the tuples have the same length.

    When `stopped` is "end" and logits were kept, `logits` has one row more than `ids` has free
    positions if the end token itself was a free choice.
    """

    ids: tuple[int, ...]
    pieces: tuple[bytes, ...]  # text of each token; joined and decoded as UTF-8 they are the answer
    probabilities: tuple[float, ...]  # of each token among the allowed ones; 1.0 if forced
    free: tuple[bool, ...]  # False where the automaton left one choice
    stopped: Stopped
    logits: tuple[npt.NDArray[np.float32] | None, ...] | None = None
    """Per position, the end token's included: (V,), -inf where not allowed, None if forced."""
    nearby: tuple[float, ...] = ()
    """As `probabilities`, together with the tokens whose number is one higher or one lower."""
    presence: float | None = None
    """Probability of a box against absent where that was decided; None: it was not to be."""
    prefill: float = 0.0
    """Seconds spent on its prompt."""
    generate: float = 0.0
    """Seconds spent on its tokens; of a step that several replies shared, its part."""
    failure: SkyEyeError | None = None
    """Why there is no answer, where `stopped` is "failed"."""

    @classmethod
    def failed(cls, failure: SkyEyeError) -> Reply:
        """The reply of a request that could not be answered."""
        return cls((), (), (), (), "failed", failure=failure)

    @property
    def text(self) -> str:
        """The answer as text; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.pieces).decode("utf-8", "replace")
