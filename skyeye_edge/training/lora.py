"""Low-rank adapters on the decoder through peft; the aligner is trained whole, the rest is frozen.

Source: SkyEyeGPT's code: a trained linear aligner, LoRA on q_proj and v_proj (skyeyegpt.md, 7).
"""

from __future__ import annotations

from torch import Tensor

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.recipe import LoraRecipe

EVERY_LINEAR = "all-linear"  # as peft calls every linear layer but the head


def add_adapters(model: SkyEyeModel, recipe: LoraRecipe) -> None:
    """Freeze the model but for its aligner, and put fresh adapters on its decoder, in place.

    The vision tower drops no paths any more: frozen, it had better show what it shows at run time.

    Raises:
        InputError: the decoder has no such layers.
    """
    with needs("training"):
        from peft import LoraConfig, get_peft_model
    model.requires_grad_(False)
    model.aligner.requires_grad_(True)
    for block in model.vision.blocks:
        block.drop_path = 0.0
    every = recipe.targets == (EVERY_LINEAR,)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=EVERY_LINEAR if every else list(recipe.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        model.language_model = get_peft_model(model.language_model, config)
    except ValueError as error:
        raise InputError(f"lora: targets {', '.join(recipe.targets)}: {error}") from error


def merge_adapters(model: SkyEyeModel) -> None:
    """Add the adapters into the decoder's own weights and remove them, in place."""
    model.language_model = model.language_model.merge_and_unload()


def trained_tensors(model: SkyEyeModel) -> dict[str, Tensor]:
    """Name and value of everything that training changes."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}
