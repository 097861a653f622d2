"""Which weights a run trains: adapters on the decoder, the aligner, or whole parts of the model.

Source: SkyEyeGPT's code: a trained linear aligner, LoRA on q_proj and v_proj (skyeyegpt.md, 7).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.training.experts import ADAPTER, add_experts
from skyeye_edge.training.model.checkpoint import CheckpointContents
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.recipe import LoraRecipe, Part

EVERY_LINEAR = "all-linear"  # as peft calls every linear layer but the head
_FROZEN = ".base_layer."  # what stands below an adapter


def add_adapters(
    model: SkyEyeModel, recipe: LoraRecipe, parts: Collection[Part] = ("lora", "aligner")
) -> None:
    """Freeze the model but for `parts`, and put fresh adapters where they ask for some, in place.

    The vision tower drops no paths any more: it had better show what it shows at run time.

    Raises:
        InputError: the decoder has no such layers.
    """
    model.vision.keep_all_paths()
    try:
        if "lora" in parts:
            _adapt_decoder(model, recipe)
        if "aligner" in parts and recipe.aligner:
            linear = [name for name, each in model.aligner.named_modules() if _is_linear(each)]
            _adapt(model.aligner, recipe, linear)
    except ValueError as error:
        raise InputError(f"lora: targets {', '.join(recipe.targets)}: {error}") from error
    train_only(model, parts)


def train_only(model: SkyEyeModel, parts: Collection[Part]) -> None:
    """Let the optimiser change these parts and no other."""
    model.requires_grad_(False)
    for name, value in model.named_parameters():
        value.requires_grad_(_part_of(name) in parts)


def restore_trained(model: SkyEyeModel, parts: Collection[Part], base: CheckpointContents) -> None:
    """Give these parts float32 weights, unrounded, in a model that was read in half precision."""
    stored = {**base.vision, **base.aligner}
    stored |= {f"language_model.{name}": tensor for name, tensor in base.language.items()}
    for name, value in model.named_parameters():
        if _part_of(name) in parts and value.dtype != torch.float32:
            unrounded = stored[name].read() if name in stored else value.data
            value.data = unrounded.to(value.device, torch.float32)


def trained_tensors(model: SkyEyeModel, parts: Collection[Part]) -> dict[str, Tensor]:
    """Name and value of everything that a run changes which trains these parts."""
    return {name: value for name, value in _tensors(model) if _part_of(name) in parts}


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    for name, value in model.named_buffers():
        if ADAPTER in name:
            yield name, value


def _part_of(name: str) -> Part | None:
    if name.startswith("aligner."):
        return None if _FROZEN in name else "aligner"
    if name.startswith("language_model."):
        return "lora" if ADAPTER in name else "decoder"
    return "encoder"


def _adapt_decoder(model: SkyEyeModel, recipe: LoraRecipe) -> None:
    with needs("training"):
        from peft import LoraConfig, get_peft_model
    every = recipe.targets == (EVERY_LINEAR,)
    if recipe.experts > 1:
        add_experts(model.language_model, recipe, None if every else recipe.targets)
        return
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=EVERY_LINEAR if every else list(recipe.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    model.language_model = get_peft_model(model.language_model, config)


def _adapt(module: nn.Module, recipe: LoraRecipe, targets: list[str]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets,
        bias="none",
    )
    inject_adapter_in_model(config, module)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
