"""CLIP's vision tower as Hugging Face's folders hold it, for models of the LLaVA-1.5 family."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError
from skyeye_edge.training.importing.parts import Parts
from skyeye_edge.training.model.clip import ClipConfig
from skyeye_edge.training.model.tensors import LazyTensor

# Tensors of a whole CLIP beside its tower, and those behind the layer that is looked at.
BEYOND = (
    r"text_model\..+|text_projection\..+|visual_projection\..+|logit_scale|"
    r"(.+\.)?embeddings\.position_ids|vision\.post_layernorm\.(weight|bias)"
)
_POSITIONS = "vision.embeddings.position_embedding.weight"


def stored_image_size(parts: Parts, patch: int) -> int:
    """Pixels along a side that the position table was made for.

    Raises:
        CheckpointError: there is no tower, or its table is not that of a square.
    """
    rows = parts.shape(_POSITIONS)[0]
    side = math.isqrt(max(0, rows - 1))
    if side < 1 or side * side != rows - 1:
        raise CheckpointError(
            f"{parts.source(_POSITIONS)}: the position table has {rows} rows, which is no square "
            "of patches and a class token"
        )
    return side * patch


def take_clip(parts: Parts, config: ClipConfig) -> dict[str, LazyTensor]:
    """Use the tower's tensors up to its last used block.

    The position table is resampled if it was made for pictures of another size.

    Raises:
        CheckpointError: a tensor is missing or odd.
    """
    stored = replace(config, image_size=stored_image_size(parts, config.patch))
    found = {name: parts.take(name, shape) for name, shape in _shapes(stored).items()}
    later = [
        number
        for name in parts.names(r"vision\.encoder\.layers\.\d+\..+")
        if (number := int(name.split(".")[3])) >= config.depth
    ]
    unused = "|".join(str(number) for number in sorted(set(later)))
    parts.ignore(rf"vision\.encoder\.layers\.({unused or 'none'})\..+")
    parts.ignore(BEYOND)
    table = found[_POSITIONS]
    if stored.grid != config.grid:
        found[_POSITIONS] = LazyTensor(
            (1 + config.grid**2, config.width),
            torch.float32,
            lambda: resample_positions(table.read().float(), config.grid),
        )
    return found


def resample_positions(table: Tensor, grid: int) -> Tensor:
    """(1 + side^2, D) float32 to (1 + grid^2, D), bicubic with aligned corners; row 0 stays.

    Source: GeoChat, clip_encoder.py, `clip_interpolate_embeddings`.
    """
    side, width = math.isqrt(table.shape[0] - 1), table.shape[1]
    square = table[1:].T.reshape(1, width, side, side)
    square = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=True)
    return torch.cat([table[:1], square.reshape(width, grid * grid).T])


def _shapes(config: ClipConfig) -> dict[str, tuple[int, ...]]:
    width, mlp = config.width, config.mlp
    block: dict[str, tuple[int, ...]] = {}
    for norm in ("layer_norm1", "layer_norm2"):
        block |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for matrix in ("q_proj", "k_proj", "v_proj", "out_proj"):
        block |= {
            f"self_attn.{matrix}.weight": (width, width),
            f"self_attn.{matrix}.bias": (width,),
        }
    block |= {"mlp.fc1.weight": (mlp, width), "mlp.fc1.bias": (mlp,)}
    block |= {"mlp.fc2.weight": (width, mlp), "mlp.fc2.bias": (width,)}
    return {
        "vision.embeddings.class_embedding": (width,),
        "vision.embeddings.patch_embedding.weight": (width, 3, config.patch, config.patch),
        _POSITIONS: (1 + config.grid**2, width),
        "vision.pre_layrnorm.weight": (width,),
        "vision.pre_layrnorm.bias": (width,),
        **{
            f"vision.encoder.layers.{number}.{name}": shape
            for number in range(config.depth)
            for name, shape in block.items()
        },
    }
