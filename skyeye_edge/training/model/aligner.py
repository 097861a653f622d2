"""From patch features to visual tokens: neighbours side by side, then one linear layer or more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import torch.nn.functional as F
from torch import Tensor, nn

from skyeye_edge.core.errors import InputError

JOINED = 4  # neighbouring patches of one row that make one visual token (MiniGPT-v2)


@dataclass(frozen=True, slots=True)
class AlignerConfig:
    """An aligner; MiniGPT-v2's is the default, LLaVA-1.5's is `AlignerConfig("mlp", 1, 2)`."""

    kind: str = "linear"  # a key of ALIGNERS
    joined: int = JOINED  # neighbouring patches of one row that make one visual token
    layers: int = 1  # linear ones

    def __post_init__(self) -> None:
        if self.kind not in ALIGNERS or self.joined < 1 or self.layers < 1:
            raise InputError(
                f"aligner: kind {self.kind!r}, joined {self.joined}, layers {self.layers}: kinds "
                f"are {', '.join(ALIGNERS)}, and numbers at least 1"
            )

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


class Aligner(nn.Module):
    """What all aligners do first: neighbours side by side."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) without class token to (B, P / joined, language width).

        A plain reshape of the row-major patches: the grid's width is a multiple of `joined`, so a
        group never crosses a row.
        """
        batch, count, width = patches.shape
        joined = self.config.joined
        return self.project(patches.reshape(batch, count // joined, joined * width))

    def project(self, groups: Tensor) -> Tensor:
        """(B, N, joined * vision width) to (B, N, language width)."""
        raise NotImplementedError


class LinearAligner(Aligner):
    """One linear layer, `llama_proj` (MiniGPT-v2)."""

    def __init__(self, vision_width: int, language_width: int, config: AlignerConfig) -> None:
        super().__init__(config)
        if config.layers != 1:
            raise InputError(f"aligner: linear has one layer, not {config.layers}; use mlp")
        self.llama_proj = nn.Linear(config.joined * vision_width, language_width)

    def project(self, groups: Tensor) -> Tensor:
        """(B, N, joined * vision width) to (B, N, language width)."""
        projected: Tensor = self.llama_proj(groups)
        return projected


class MlpAligner(Aligner):
    """Linear layers with the exact GELU between them (LLaVA-1.5, multimodal_projector)."""

    def __init__(self, vision_width: int, language_width: int, config: AlignerConfig) -> None:
        super().__init__(config)
        widths = [config.joined * vision_width, *[language_width] * config.layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def project(self, groups: Tensor) -> Tensor:
        """(B, N, joined * vision width) to (B, N, language width)."""
        for number, layer in enumerate(self.layers):
            groups = layer(F.gelu(groups) if number else groups)
        return groups


ALIGNERS: Mapping[str, type[LinearAligner] | type[MlpAligner]] = MappingProxyType(
    {"linear": LinearAligner, "mlp": MlpAligner}
)


def build_aligner(vision_width: int, language_width: int, config: AlignerConfig) -> Aligner:
    """An aligner with fresh weights.

    Raises:
        InputError: its kind has no such number of layers.
    """
    return ALIGNERS[config.kind](vision_width, language_width, config)
