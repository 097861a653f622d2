"""From patch features to visual tokens, in one of several ways (SkyEyeGPT 4.4 compares them)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.model.alignment import AlignerConfig

HEAD = 64  # width of an attention head


class Aligner(nn.Module):
    """(B, P, vision width) without class token to (B, N, language width)."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.config = config

    def join(self, patches: Tensor) -> Tensor:
        """(B, P, W) to (B, P / joined, joined * W): neighbours side by side.

        A plain reshape of the row-major patches: the grid's width is a multiple of `joined`, so a
        group never crosses a row.
        """
        batch, count, width = patches.shape
        joined = self.config.joined
        return patches.reshape(batch, count // joined, joined * width)


class PlainAligner(Aligner):
    """Joined patches as they are: their width has to be the language model's."""

    def __init__(self, vision_width: int, language_width: int, config: AlignerConfig) -> None:
        super().__init__(config)
        if config.joined * vision_width != language_width:
            raise InputError(
                f"aligner: none: {config.joined} patches of {vision_width} are not as wide as the "
                f"language model, {language_width}"
            )

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) to (B, N, language width)."""
        return self.join(patches)


class LinearAligner(Aligner):
    """One linear layer, `llama_proj` (MiniGPT-v2)."""

    def __init__(self, vision_width: int, language_width: int, config: AlignerConfig) -> None:
        super().__init__(config)
        self.llama_proj = nn.Linear(config.joined * vision_width, language_width)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) to (B, N, language width)."""
        projected: Tensor = self.llama_proj(self.join(patches))
        return projected


class MlpAligner(Aligner):
    """Linear layers with the exact GELU between them (LLaVA-1.5, multimodal_projector)."""

    def __init__(self, vision_width: int, language_width: int, config: AlignerConfig) -> None:
        super().__init__(config)
        widths = [config.joined * vision_width, *[language_width] * config.layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) to (B, N, language width)."""
        groups = self.join(patches)
        for number, layer in enumerate(self.layers):
            groups = layer(F.gelu(groups) if number else groups)
        return groups


class QFormerAligner(Aligner):
    """Learnt queries, as many as there would be joined patches, that look at all patches.

    After BLIP-2 (arXiv 2301.12597, 3.1), without its text side.
    """

    def __init__(
        self, vision_width: int, language_width: int, config: AlignerConfig, tokens: int
    ) -> None:
        super().__init__(config)
        self.queries = nn.Parameter(0.02 * torch.randn(1, tokens, vision_width))
        self.blocks = nn.ModuleList(QueryBlock(vision_width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(vision_width)
        self.projection = nn.Linear(vision_width, language_width)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) to (B, N, language width)."""
        queries = self.queries.expand(patches.shape[0], -1, -1)
        for block in self.blocks:
            queries = block(queries, patches)
        projected: Tensor = self.projection(self.norm(queries))
        return projected


class QueryBlock(nn.Module):
    """Queries look at each other, then at the patches, then think."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among = Attention(width)
        self.across = Attention(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, queries: Tensor, patches: Tensor) -> Tensor:
        """(B, N, W) and (B, P, W) to (B, N, W)."""
        first, second, third = self.norms
        seen = first(queries)
        queries = queries + self.among(seen, seen)
        queries = queries + self.across(second(queries), patches)
        return queries + self.mlp(third(queries))


class Attention(nn.Module):
    """(B, N, W) that look at (B, P, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = next(h for h in range(max(1, width // HEAD), 0, -1) if width % h == 0)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """(B, N, W) and (B, P, W) to (B, N, W)."""
        q, k, v = (
            self._split(each) for each in (self.query(queries), self.key(seen), self.value(seen))
        )
        shares = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
        mixed: Tensor = self.out((shares @ v).transpose(1, 2).flatten(2))
        return mixed

    def _split(self, values: Tensor) -> Tensor:
        """(B, N, W) to (B, heads, N, W / heads)."""
        batch, count, width = values.shape
        return values.view(batch, count, self.heads, width // self.heads).transpose(1, 2)


def build_aligner(
    vision_width: int, language_width: int, config: AlignerConfig, grid: int
) -> Aligner:
    """An aligner with fresh weights, for grid x grid patches.

    Raises:
        InputError: the widths or the grid do not fit it.
    """
    match config.kind:
        case "none":
            return PlainAligner(vision_width, language_width, config)
        case "linear":
            return LinearAligner(vision_width, language_width, config)
        case "mlp":
            return MlpAligner(vision_width, language_width, config)
        case "qformer":
            return QFormerAligner(vision_width, language_width, config, config.tokens(grid))
