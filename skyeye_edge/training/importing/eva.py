"""The EVA tower as it was published (BLIP-2's `eva_vit_g.pth`), for MiniGPT-v2 and its children.

Source: MiniGPT-v2, eva_vit.py: the last block and what follows it are not used, and the position
table is resampled to the grid of the pictures.
"""

from __future__ import annotations

import math
import re

import torch
import torch.nn.functional as F
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.training.model.alignment import JOINED
from skyeye_edge.training.model.eva import EvaConfig
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.tensors import LazyTensor, lazy

USED_BLOCKS = 39  # of EVA ViT-g, as MiniGPT-v2 builds it; the published file has one more
_FIRST = "patch_embed.proj.weight"
_BEYOND = r"(norm|fc_norm|head|lm_head)\.(weight|bias)|mask_token"  # after the blocks


def take_eva(
    ledger: Ledger, image_size: int, heads: int, blocks: int | None
) -> tuple[EvaConfig, dict[str, LazyTensor]]:
    """Use the tower's tensors in a ledger; sizes are read from their shapes.

    Args:
        ledger: of a file with flat names, or all with one prefix.
        image_size: pixels along a side.
        heads: of attention; no tensor says how many.
        blocks: how many to use; None: all but the last, as MiniGPT-v2 does.

    Returns:
        The sizes, and the tensors by their names in a checkpoint.

    Raises:
        CheckpointError: there is no such tower, or a tensor of it is missing or odd.
        InputError: size, heads or blocks do not fit it.
    """
    prefix = _prefix(ledger)
    width, _, patch, _ = ledger.shape(prefix + _FIRST)
    stored = _blocks(ledger, prefix)
    used = _used(ledger, prefix, stored) if blocks is None else blocks
    config = EvaConfig(
        image_size=image_size,
        patch=patch,
        width=width,
        depth=used,
        heads=heads,
        mlp=ledger.shape(f"{prefix}blocks.0.mlp.fc1.weight")[0],
    )
    _check(config, stored)
    shapes = _shapes(config)
    found = {f"vision.{name}": ledger.take(prefix + name, shape) for name, shape in shapes.items()}
    found["vision.pos_embed"] = _positions(ledger, prefix, config)
    unused = "|".join(str(number) for number in range(used, stored))
    ledger.ignore(rf"{re.escape(prefix)}({_BEYOND}|blocks\.({unused or 'none'})\..+)")
    return config, found


def take_norm(ledgers: tuple[Ledger, ...], width: int) -> dict[str, LazyTensor]:
    """`ln_vision` from the first ledger that has it; without one, weight 1 and bias 0.

    Source: skyeyegpt.md, 2: frozen, and in none of the published files that are known.
    """
    found: dict[str, LazyTensor] = {}
    for ledger in ledgers:
        names = [name for name in ledger.names if re.fullmatch(r"(.+\.)?ln_vision\.weight", name)]
        for name in names:
            weight = ledger.take(name, (width,))
            bias = ledger.take(name.removesuffix("weight") + "bias", (width,))
            found = found or {"ln_vision.weight": weight, "ln_vision.bias": bias}
    ones, zeros = lazy(torch.ones(width)), lazy(torch.zeros(width))
    return found or {"ln_vision.weight": ones, "ln_vision.bias": zeros}


def _prefix(ledger: Ledger) -> str:
    found = [name for name in ledger.names if name == _FIRST or name.endswith(f".{_FIRST}")]
    if len(found) != 1:
        several = "several towers" if found else f"no vision tower: no tensor {_FIRST!r}"
        raise CheckpointError(f"{ledger.source}: {several}; give the file of the EVA tower")
    return found[0].removesuffix(_FIRST)


def _blocks(ledger: Ledger, prefix: str) -> int:
    block = re.compile(rf"{re.escape(prefix)}blocks\.(\d+)\..+")
    numbers = {int(found[1]) for name in ledger.names if (found := block.fullmatch(name))}
    if numbers != set(range(len(numbers))) or not numbers:
        raise CheckpointError(f"{ledger.source}: blocks {sorted(numbers)}: some are missing")
    return len(numbers)


def _used(ledger: Ledger, prefix: str, stored: int) -> int:
    """All blocks of a tower that was saved as it is used, else all but the last."""
    positions = ledger.shape(f"{prefix}pos_embed")[1] - 1
    as_used = prefix and f"{prefix}norm.weight" not in ledger.names and positions > 16**2
    return stored if stored == USED_BLOCKS or as_used else stored - 1


def _check(config: EvaConfig, stored: int) -> None:
    if config.heads < 1 or config.width % config.heads:
        raise InputError(
            f"--vision-heads {config.heads}: the tower's width of {config.width} does not divide "
            "by it; EVA ViT-g has 16"
        )
    if not 1 <= config.depth <= stored:
        raise InputError(f"--vision-blocks {config.depth}: the file has {stored}")
    step = config.patch * JOINED
    if config.image_size < step or config.image_size % step:
        raise InputError(
            f"--image-size {config.image_size}: give a multiple of {step}, so that patches of "
            f"{config.patch} px fill rows of groups of {JOINED}"
        )


def _shapes(config: EvaConfig) -> dict[str, tuple[int, ...]]:
    """Of the tower's tensors but for the position table."""
    width, mlp, patch = config.width, config.mlp, config.patch
    block = {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "attn.q_bias": (width,),
        "attn.v_bias": (width,),
        "attn.qkv.weight": (3 * width, width),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
        "mlp.fc1.weight": (mlp, width),
        "mlp.fc1.bias": (mlp,),
        "mlp.fc2.weight": (width, mlp),
        "mlp.fc2.bias": (width,),
    }
    return {
        "cls_token": (1, 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        **{f"blocks.{i}.{name}": s for i in range(config.depth) for name, s in block.items()},
    }


def _positions(ledger: Ledger, prefix: str, config: EvaConfig) -> LazyTensor:
    """The position table at the grid of the pictures: the class token's row, then row by row."""
    name = f"{prefix}pos_embed"
    rows = ledger.shape(name)[1] if len(ledger.shape(name)) == 3 else 0
    side = math.isqrt(max(0, rows - 1))
    table = ledger.take(name, (1, 1 + side * side, config.width))
    if side == config.grid:
        return table
    return LazyTensor(
        (1, 1 + config.grid**2, config.width),
        torch.float32,
        lambda: resample_positions(table.read().float(), config.grid),
    )


def resample_positions(table: Tensor, grid: int) -> Tensor:
    """(1, 1 + side^2, D) float32 to (1, 1 + grid^2, D), bicubic; the first row stays as it is."""
    side, width = math.isqrt(table.shape[1] - 1), table.shape[2]
    square = table[:, 1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    square = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], square.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
