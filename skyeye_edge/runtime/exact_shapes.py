"""How much may be computed in one call without moving a bit of the result.

Every token's numbers depend on its own sequence alone, but llama.cpp has several pieces of code for
a product of matrices, and picks one by the number of rows; they round differently, and where the
activations are rounded to 8 bits that moves logits by up to half a unit. docs/performance.md has
what was measured.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from skyeye_edge.core.memory import REPACKED_TYPES

# general.file_type
_FLOATS = (0, 1)  # F32, F16
_ROUNDED = (3, 7)  # Q4_1, Q8_0
_MANY = 7  # from 8 rows of logits on, some heads are computed otherwise
_BELOW_FOUR = 3  # repacked matrices take rows by fours


@dataclass(frozen=True, slots=True)
class ExactShapes:
    """The largest call whose results are those of single tokens."""

    sequences: int  # a token of each
    tokens: int  # of one sequence, and in all


ANY = ExactShapes(_MANY, _MANY)
ALONE = ExactShapes(1, 1)


def exact_shapes(file_type: int, *, tiny_blas: bool) -> ExactShapes:
    """What holds on the CPU of this machine; of what was not measured, nothing.

    Args:
        file_type: `general.file_type` of the GGUF; -1 where it is not known.
        tiny_blas: whether llama.cpp was built with it. It computes everything but single rows:
            the tokens of a sequence (in the attention), and rows of unrounded weights.
    """
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    if file_type in REPACKED_TYPES or (file_type in _ROUNDED and not is_x86):
        return ExactShapes(_BELOW_FOUR, 1 if tiny_blas else _BELOW_FOUR)
    if file_type in _ROUNDED:
        return ExactShapes(_MANY, 1) if tiny_blas else ANY
    return ANY if file_type in _FLOATS and is_x86 and not tiny_blas else ALONE
