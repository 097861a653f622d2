"""EVA's vision transformer, parameters named as in the published tower (MiniGPT-v2, eva_vit.py).

Pre-norm blocks, exact GELU, LayerNorm eps 1e-6, one fused qkv matrix whose key part has no bias, no
layer scale, no relative positions, no final norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class EvaConfig:
    """Sizes of a tower; EVA ViT-g/14 as SkyEyeGPT uses it is 448, 14, 1408, 39, 16, 6144."""

    image_size: int  # pixels, square
    patch: int  # pixels
    width: int
    depth: int
    heads: int
    mlp: int  # hidden width of the two-layer MLP
    drop_path: float = 0.0  # stochastic depth of the last block; rises linearly; training only

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch


class EvaAttention(nn.Module):
    """Self-attention over (B, T, width)."""

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.scale = (config.width // config.heads) ** -0.5
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(config.width))
        self.v_bias = nn.Parameter(torch.zeros(config.width))
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        batch, length, width = x.shape
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)
        q, k, v = qkv.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # Written out: the fused CPU kernel has a slow backward pass at these sizes.
        weights = torch.softmax((q * self.scale) @ k.transpose(-2, -1), dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, length, width))


class EvaMlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        return self.fc2(F.gelu(self.fc1(x)))


class EvaBlock(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual path."""

    def __init__(self, config: EvaConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = EvaAttention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = EvaMlp(config)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        x = x + self._drop(self.attn(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        mask = branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep)
        return branch * mask / keep


class PatchEmbed(nn.Module):
    """Non-overlapping patches through one convolution."""

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, kernel_size=config.patch, stride=config.patch)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, grid * grid, width), row-major."""
        return self.proj(pixel_values).flatten(2).transpose(1, 2)


class EvaVit(nn.Module):
    """The vision tower."""

    kind: ClassVar[str] = "eva"

    def __init__(self, config: EvaConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.width))
        last = max(1, config.depth - 1)
        rates = (config.drop_path * number / last for number in range(config.depth))
        self.blocks = nn.ModuleList(EvaBlock(config, rate) for rate in rates)

    def forward(self, pixel_values: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) to (B, 1 + grid * grid, width); position 0 is the class token.

        With `kept` (B, K), the numbers of the patches that are not dropped: (B, 1 + K, width).
        """
        patches = self.patch_embed(pixel_values)
        cls = self.cls_token.expand(patches.shape[0], -1, -1)
        x = torch.cat([cls, patches], dim=1) + self.pos_embed
        if kept is not None:  # training on fewer patches: as He et al. 2021, without a decoder
            index = kept.unsqueeze(-1).expand(-1, -1, x.shape[-1])
            x = torch.cat([x[:, :1], x[:, 1:].gather(1, index)], dim=1)
        for block in self.blocks:
            x = block(x)
        return x

    def closing_norm(self) -> nn.Module:
        """What the features go through before the aligner: `ln_vision`, over all tokens."""
        return nn.LayerNorm(self.config.width)  # eps 1e-5

    def keep_all_paths(self) -> None:
        """Drop no paths any more: frozen, it had better show what it shows at run time."""
        for block in self.blocks:
            assert isinstance(block, EvaBlock)
            block.drop_path = 0.0
