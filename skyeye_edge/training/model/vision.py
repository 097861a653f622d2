"""The vision side alone: tower, norm and aligner, without the language model that they serve."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.training.model.aligner import build_aligner
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import CheckpointContents
from skyeye_edge.training.model.tensors import Tensors
from skyeye_edge.training.model.towers import Tower, build_tower


class VisionSide(nn.Module):
    """Pixels to visual tokens."""

    def __init__(self, vision: Tower, aligner: AlignerConfig, language_width: int) -> None:
        super().__init__()
        self.vision = vision
        self.ln_vision = vision.closing_norm()
        self.aligner = build_aligner(
            vision.config.width, language_width, aligner, vision.config.grid
        )

    def encode_image(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, S, S) normalised pixels to (B, N, D) visual tokens.

        Source: MiniGPT-v2, minigpt_v2.py: norm over all tokens, class token dropped, four joined;
            LLaVA, clip_encoder.py: no norm, class token dropped, none joined.
        """
        # The aligner may be trained in float32 behind a frozen tower of half precision.
        return self.aligner(_like(self.aligner, self.patch_features(pixel_values)))

    def patch_features(self, pixel_values: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) to (B, P, vision width): the tower's features, class token dropped.

        With `kept` (B, K) only those patches are looked at, and returned in that order.
        """
        return self.ln_vision(self.vision(_like(self.vision, pixel_values), kept))[:, 1:]

    def load(self, contents: CheckpointContents, dtype: torch.dtype) -> None:
        """Take the weights of a checkpoint, one tensor after the other, in place.

        Raises:
            CheckpointError: one is missing, not known or of another shape.
        """
        for names, tensors in (("vision.", contents.vision), ("aligner.", contents.aligner)):
            own = {
                name: value
                for name, value in self.state_dict().items()
                if name.startswith((names, f"ln_{names}"))
            }
            check_names(own, tensors)
            for name, tensor in tensors.items():
                values = {name: tensor.read().to(dtype)}
                self.load_state_dict(values, strict=False, assign=True)


def blank_vision(contents: CheckpointContents, dtype: torch.dtype) -> VisionSide:
    """The modules of a checkpoint's vision side, with weights of that type and no meaning.

    Raises:
        InputError: the checkpoint names a part that is not known.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        tower, aligner = read_parts(contents)
        return VisionSide(tower, aligner, contents.spec.vision.width)
    finally:
        torch.set_default_dtype(before)


def read_parts(contents: CheckpointContents) -> tuple[Tower, AlignerConfig]:
    """The tower of a checkpoint, with weights of no meaning, and what its aligner is like.

    Raises:
        InputError: the checkpoint names a part that is not known.
    """
    kinds = contents.architecture
    try:
        tower = build_tower(kinds["vision"], contents.vision_config)
        values: dict[str, Any] = {"kind": kinds["aligner"], **contents.aligner_config}
        return tower, AlignerConfig(**values)
    except (KeyError, TypeError) as error:
        raise InputError(f"architecture {dict(kinds)}: {error!r}") from error


def check_names(own: dict[str, Tensor], tensors: Tensors) -> None:
    """Refuse tensors that are not exactly those of a module, by name and shape.

    Raises:
        CheckpointError: as said.
    """
    if odd := sorted(own.keys() ^ tensors.keys()):
        raise CheckpointError(f"{len(odd)} tensors missing or not known, first {odd[0]}")
    for name, tensor in tensors.items():
        if tensor.shape != tuple(own[name].shape):
            raise CheckpointError(f"{name} is {tensor.shape}, should be {tuple(own[name].shape)}")


def _like(module: nn.Module, values: Tensor) -> Tensor:
    """`values` in the type of a module's weights, if it has any."""
    weights = next(module.parameters(), values)
    return values.to(weights.dtype)
