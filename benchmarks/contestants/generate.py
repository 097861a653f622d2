"""Contestant: `generate` of transformers on a model of the same shape, once for each task.

Weights are random: what they are changes no time. `smollm2` is Idefics3 (the family of SmolVLM: 4 x
4 patches joined, one matrix), `tinyllama` is LLaVA.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from lines import answer, keep_stdout, questions

IMAGE_TOKEN = 3  # any token that no prompt has


def main() -> None:
    """Answer until there is no question more."""
    keep_stdout()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=("smollm2", "tinyllama"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, side, tokens = {"smollm2": smolvlm, "tinyllama": llava}[args.shape]()
    model = model.to(getattr(torch, args.dtype)).eval()
    spent = {"image": 0.0}
    time_calls(model, spent)
    answer({"ready": f"transformers, {args.dtype}"})
    with torch.inference_mode():
        for asked in questions():
            spent["image"] = 0.0
            started = time.perf_counter()
            counts = [
                [ask(model, pixels(Path(image), side), tokens, words, limit)
                 for words, limit in zip(asked["words"], limits, strict=True)]
                for image, limits in zip(asked["images"], asked["tokens"], strict=True)
            ]  # fmt: skip
            language = time.perf_counter() - started - spent["image"]
            steps = {"image": 1000 * spent["image"], "language": 1000 * language}
            answer({"steps_ms": steps, "tokens": counts})


def ask(model: Any, picture: Any, image_tokens: int, words: str, limit: int) -> int:
    """One question of about as many tokens as words; the number of tokens that came back."""
    prompt = [5, 6, 7, *[IMAGE_TOKEN] * image_tokens, *range(8, 11 + 4 * len(words.split()) // 3)]
    ids = torch.tensor([prompt])
    if model.config.model_type == "idefics3":
        picture = picture[:, None]  # one image of one text
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids),
        pixel_values=picture.to(model.dtype), max_new_tokens=limit, min_new_tokens=limit,
        do_sample=False, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return int(out.shape[1] - ids.shape[1])


def pixels(path: Path, side: int) -> Any:
    """(1, 3, side, side) of an image file."""
    with Image.open(path) as image:
        square = np.asarray(image.convert("RGB").resize((side, side)), np.float32)
    return torch.from_numpy(square / 127.5 - 1).permute(2, 0, 1)[None]


def time_calls(model: Any, spent: dict[str, float]) -> None:
    """Add what the tower and its projector take."""
    function = model.model.get_image_features

    @functools.wraps(function)  # generate looks at its parameters
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent["image"] += time.perf_counter() - started

    model.model.get_image_features = timed


def smolvlm() -> tuple[Any, int, int]:
    """SmolVLM-256M: the model, the side of its image and its visual tokens."""
    text = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    vision = {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "image_size": 512, "patch_size": 16,
    }  # fmt: skip
    config = Idefics3Config(
        text_config=text, vision_config=vision, scale_factor=4, image_token_id=IMAGE_TOKEN
    )
    return Idefics3ForConditionalGeneration(config), 512, 64


def llava() -> tuple[Any, int, int]:
    """LLaVA-1.5's tower before TinyLlama-1.1B."""
    text = LlamaConfig(
        vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
        num_attention_heads=32, num_key_value_heads=4,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
        num_attention_heads=16, image_size=336, patch_size=14,
    )  # fmt: skip
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=IMAGE_TOKEN)
    return LlavaForConditionalGeneration(config), 336, 576


if __name__ == "__main__":
    main()
