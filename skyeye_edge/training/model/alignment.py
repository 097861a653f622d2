"""What an aligner is, as values that recipes and checkpoints share; torch is not needed for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from skyeye_edge.core.errors import InputError

JOINED = 4  # neighbouring patches of one row that make one visual token (MiniGPT-v2)
# none: patches as they are; linear: one matrix; mlp: several, with GELU between them; qformer:
# learnt queries that look at all patches
AlignerKind = Literal["none", "linear", "mlp", "qformer"]


@dataclass(frozen=True, slots=True)
class AlignerConfig:
    """An aligner; MiniGPT-v2's is the default, LLaVA-1.5's is `AlignerConfig("mlp", 1, 2)`."""

    kind: AlignerKind = "linear"
    joined: int = JOINED  # neighbouring patches of one row that make one visual token
    layers: int = 1  # linear ones; of a qformer: blocks

    def __post_init__(self) -> None:
        if self.kind not in get_args(AlignerKind) or self.joined < 1 or self.layers < 1:
            raise InputError(
                f"aligner: kind {self.kind!r}, joined {self.joined}, layers {self.layers}: kinds "
                f"are {', '.join(get_args(AlignerKind))}, and numbers at least 1"
            )
        if self.kind in ("none", "linear") and self.layers != 1:
            raise InputError(f"aligner: {self.kind} has no {self.layers} layers; use mlp")

    def tokens(self, grid: int) -> int:
        """Visual tokens of grid x grid patches.

        Raises:
            InputError: joined patches would cross rows.
        """
        if grid % self.joined:
            raise InputError(
                f"a grid of {grid} patches a row: must be a multiple of {self.joined}, "
                "or joined patches would cross rows"
            )
        return grid**2 // self.joined
