"""CLIP's vision transformer up to the layer that LLaVA looks at, parameters named as published.

A norm before the blocks, biases everywhere but in the patch convolution, quick GELU (OpenAI's
weights). LLaVA-1.5 takes the output of the last block but one, without class token and final norm
(LLaVA, clip_encoder.py), so later blocks are not built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skyeye_edge.core.errors import InputError


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"quick_gelu": _quick_gelu, "gelu": F.gelu}
)


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Sizes of a tower; CLIP ViT-L/14 as LLaVA-1.5 uses it is 336, 14, 1024, 23, 16, 4096."""

    image_size: int  # pixels, square
    patch: int  # pixels
    width: int
    depth: int  # blocks that are used
    heads: int
    mlp: int  # hidden width of the two-layer MLP
    activation: str = "quick_gelu"
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise InputError(
                f"vision: activation {self.activation!r} is not known, only "
                f"{', '.join(ACTIVATIONS)}"
            )
        if min(self.image_size, self.patch, self.depth, self.heads) < 1 or self.width % self.heads:
            raise InputError(
                f"vision: {self.image_size} px in patches of {self.patch}, {self.depth} blocks, "
                f"width {self.width} for {self.heads} heads: sizes must be positive, and the width "
                "a multiple of the heads"
            )

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch


class ClipAttention(nn.Module):
    """Self-attention over (B, T, width)."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.scale = (config.width // config.heads) ** -0.5
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        batch, length, width = x.shape

        def apart(projected: Tensor) -> Tensor:
            return projected.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = apart(self.q_proj(x)), apart(self.k_proj(x)), apart(self.v_proj(x))
        weights = torch.softmax((q @ k.transpose(-2, -1)) * self.scale, dim=-1)
        return self.out_proj((weights @ v).transpose(1, 2).reshape(batch, length, width))


class ClipMlp(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        return self.fc2(self.activation(self.fc1(x)))


class ClipBlock(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual path."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.self_attn = ClipAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = ClipMlp(config)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class ClipEmbeddings(nn.Module):
    """Class token and patches, each with its place."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        self.patch_embedding = nn.Conv2d(
            3, config.width, kernel_size=config.patch, stride=config.patch, bias=False
        )
        self.position_embedding = nn.Embedding(1 + config.grid**2, config.width)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, 1 + grid * grid, width)."""
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class ClipEncoder(nn.Module):
    """The blocks."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ClipBlock(config) for _ in range(config.depth))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, T, width)."""
        for layer in self.layers:
            x = layer(x)
        return x


class ClipVit(nn.Module):
    """The vision tower."""

    kind: ClassVar[str] = "clip"

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = ClipEmbeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width, eps=config.norm_eps)  # so it is published
        self.encoder = ClipEncoder(config)

    def forward(self, pixel_values: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) to (B, 1 + grid * grid, width); position 0 is the class token.

        With `kept` (B, K), the numbers of the patches that are not dropped: (B, 1 + K, width).
        """
        x = self.embeddings(pixel_values)
        if kept is not None:
            index = kept.unsqueeze(-1).expand(-1, -1, x.shape[-1])
            x = torch.cat([x[:, :1], x[:, 1:].gather(1, index)], dim=1)
        encoded: Tensor = self.encoder(self.pre_layrnorm(x))
        return encoded

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, which memory is saved on one by one."""
        return self.encoder.layers

    def closing_norm(self) -> nn.Module:
        """What the patch features go through before the aligner: nothing."""
        return nn.Identity()

    def keep_all_paths(self) -> None:
        """Nothing is ever dropped."""
