"""A checkpoint of a few thousand parameters, and ten images of one's own to teach it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Ground
from skyeye_edge.training.data.collate import Tokenizer, tokenise
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.model.checkpoint import CheckpointInfo
from skyeye_edge.training.model.eva import EvaConfig, EvaVit
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.vocabulary import train_vocabulary

PIECES, WIDTH = 640, 64
TOWER = EvaConfig(image_size=56, patch=14, width=32, depth=2, heads=2, mlp=64, drop_path=0.3)


@pytest.fixture(scope="session")
def minute_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with fresh weights."""
    folder = tmp_path_factory.mktemp("minute")
    chance = random.Random(0)
    words = ["".join(chance.choices("aeiobcdlmnrst", k=chance.randint(2, 6))) for _ in range(300)]
    corpus = [" ".join(chance.choices(words, k=8)) + " ." for _ in range(400)]
    tokenizer = train_vocabulary(corpus, folder / "tokenizer.model", PIECES, 100)
    torch.manual_seed(0)
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=PIECES,
            hidden_size=WIDTH,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            attn_implementation="eager",
        )
    )
    # Fresh heads are nearly flat, and what LoRA cannot reach it cannot sharpen.
    language.lm_head.weight.data *= 20
    spec = ModelSpec(
        vision=VisionSpec(TOWER.image_size, TOWER.grid**2 // 4, WIDTH),
        boxes=BoxSpec(bins=100, absent="not here"),
        context=512,
    )
    info = CheckpointInfo(name="minute", licences=("none",), provenance={"data": "random"})
    model = SkyEyeModel(EvaVit(TOWER), language, spec, info, tokenizer)
    return model.save_checkpoint(folder / "checkpoint")


@pytest.fixture(scope="session")
def ten_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations in our own format beside ten images."""
    folder = tmp_path_factory.mktemp("own")
    lines = []
    for number in range(10):
        scene = render_scene(number, size=64)
        scene.image.save(folder / f"{number}.png")
        line = {"image": f"{number}.png", "captions": [scene.captions[0]], "class": scene.scene}
        question, answer = scene.questions[0]
        boxes = [{"bbox": list(one.xyxy), "label": one.kind} for one in scene.objects[:3]]
        lines.append({**line, "question": question, "answer": answer, "boxes": boxes})
    (folder / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "annotations.jsonl"


@pytest.fixture
def probe_logits() -> Callable[[SkyEyeModel], torch.Tensor]:
    """Gives the logits (L, V) of one prompt about an image of noise."""
    return logits_of_noise


def logits_of_noise(model: SkyEyeModel) -> torch.Tensor:
    side = model.spec.vision.image_size
    noise = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    segments = build_prompt([(Ground("a red car"), "{<1>}")], [(1, 1)], model.spec, learn=True)
    ids, _ = tokenise(segments, Tokenizer(model.tokenizer_file), model.spec.vision.tokens)
    with torch.inference_mode():
        embedded = model.embed(torch.tensor([ids]), model.encode_image(noise))
        logits: torch.Tensor = model.language_model(inputs_embeds=embedded).logits[0]
    return logits


@pytest.fixture
def distance() -> Callable[[torch.Tensor, torch.Tensor], float]:
    """Gives the largest difference of two tensors, as a share of the largest value."""
    return lambda ours, theirs: float((ours - theirs).abs().max() / ours.abs().max())
