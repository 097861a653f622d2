"""Random small models of the LLaVA-1.5 family, saved as their authors save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

SIDE, PATCH = 56, 14  # pixels
TOWER = dict(
    hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
    image_size=SIDE, patch_size=PATCH, projection_dim=16,
)  # fmt: skip
DECODER = dict(
    hidden_size=32, intermediate_size=88, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=1e-5,
)  # fmt: skip
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)

Folders = dict[str, Path]


def restless(model: Any, seed: int, scale: float = 0.25) -> Any:
    """The model with weights that make a difference: fresh ones are nearly flat."""
    chance = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=chance)
        value.data = 1 + 0.1 * noise if "norm" in name and value.ndim == 1 else scale * noise
    return model.eval()


def picture(width: int = 90, height: int = 61, seed: int = 5) -> Image.Image:
    """Something to look at."""
    levels = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return Image.fromarray(levels.astype(np.uint8)).resize((width, height))


def tokenizer_of(llama: Path) -> Any:
    """LLaMA's own, with the tokens that LLaVA's folders add."""
    tokenizer = LlamaTokenizer.from_pretrained(str(llama))
    tokenizer.add_tokens(["<image>", "<pad>"], special_tokens=True)
    tokenizer.pad_token = "<pad>"
    return tokenizer


def processor_of(tokenizer: Any, side: int = SIDE, *, pad: bool = False) -> LlavaProcessor:
    """The processor that belongs to these models."""
    images = LlavaImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_pad=pad
    )
    return LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip


def build_model(side: int = SIDE, vocabulary: int = 32064, seed: int = 1) -> Any:
    """`LlavaForConditionalGeneration` with random weights."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**TOWER | {"image_size": side}),
        text_config=LlamaConfig(**DECODER, vocab_size=vocabulary),
        image_token_index=32000,
        image_seq_length=(side // PATCH) ** 2,
    )
    return restless(LlavaForConditionalGeneration(config), seed)


def original_names(model: Any) -> dict[str, torch.Tensor]:
    """The weights by the names of LLaVA's own code."""
    renamed = {}
    for name, value in model.state_dict().items():
        plain = name.replace("model.language_model.", "model.")
        plain = plain.replace(
            "model.vision_tower.", "model.vision_tower.vision_tower.vision_model."
        )
        plain = plain.replace("model.multi_modal_projector.linear_1", "model.mm_projector.0")
        plain = plain.replace("model.multi_modal_projector.linear_2", "model.mm_projector.2")
        renamed[plain] = value.clone().contiguous()
    return renamed


def save_tower(model: Any, folder: Path) -> Path:
    """The CLIP alone, as Hugging Face's hub has it: names with `vision_model.`, and a text side."""
    tower = CLIPVisionModel(model.config.vision_config)
    tower.load_state_dict(model.model.vision_tower.state_dict())
    folder.mkdir()
    weights = {
        f"vision_model.{name.removeprefix('vision_model.')}": value.contiguous()
        for name, value in tower.state_dict().items()
    }
    weights |= {"logit_scale": torch.ones(()), "text_projection.weight": torch.ones(2, 2)}
    weights |= {"text_model.final_layer_norm.bias": torch.ones(2)}
    save_file(weights, folder / "model.safetensors")
    values = {"model_type": "clip", "vision_config": model.config.vision_config.to_dict()}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def save_llama(model: Any, llama: Path, folder: Path) -> Path:
    """The decoder alone, with its tokenizer."""
    decoder = LlamaForCausalLM(model.config.text_config)
    named = {
        name.replace("model.language_model.", "model."): value
        for name, value in model.state_dict().items()
        if "language_model" in name or name.startswith("lm_head")
    }
    decoder.load_state_dict(named)
    decoder.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes((llama / "tokenizer.model").read_bytes())
    return folder


def original_config(model: Any, **changes: Any) -> dict[str, Any]:
    """`config.json` of the original layout."""
    return {
        **model.config.text_config.to_dict(), "model_type": "llava",
        "architectures": ["LlavaLlamaForCausalLM"], "mm_projector_type": "mlp2x_gelu",
        "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "mm_hidden_size": TOWER["hidden_size"],
        "mm_use_im_start_end": False, "image_aspect_ratio": "pad", **changes,
    }  # fmt: skip


def renamed_file(folder: Path, change: Any) -> None:
    """Write `model.safetensors` again with changed names; None drops a tensor."""
    path = folder / "model.safetensors"
    renamed = {change(name): value for name, value in load_file(path).items()}
    save_file({name: value for name, value in renamed.items() if name}, path, {"format": "pt"})
