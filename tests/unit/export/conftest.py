"""A small checkpoint with random weights: everything but sense."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.training.model.checkpoint import CheckpointInfo
from skyeye_edge.training.model.eva import EvaConfig, EvaVit
from skyeye_edge.training.model.skyeye import SkyEyeModel

SENTENCES = [
    f"{many} {colour} {thing} are near a {place} ."
    for many in ("many", "some", "two", "several")
    for colour in ("white", "green", "red", "grey")
    for thing in ("planes", "buildings", "boats", "trees", "cars", "storage tanks")
    for place in ("river", "road", "harbour", "runway", "bare land", "parking lot")
]


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the packaged model has it: bytes, `<0>`..`<100>` as pieces, no dummy prefix."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=written,
        model_type="bpe",
        vocab_size=500,
        hard_vocab_limit=False,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        user_defined_symbols=[f"<{step}>" for step in range(101)],
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(written.getvalue())
    return path


@pytest.fixture(scope="session")
def random_model(tokenizer_file: Path) -> SkyEyeModel:
    """4 visual tokens, grouped-query attention, more embedding rows than pieces."""
    torch.manual_seed(0)
    tower = EvaVit(EvaConfig(image_size=56, patch=14, width=64, depth=2, heads=4, mlp=128))
    for weights in (tower.cls_token, tower.pos_embed):
        torch.nn.init.normal_(weights, std=0.5)
    language_model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=8,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            initializer_range=0.1,
        )
    )
    spec = ModelSpec(
        VisionSpec(image_size=56, tokens=4, width=256), boxes=BoxSpec(absent="not in the image")
    )
    info = CheckpointInfo("random", "0.1.0", "2026-01-02T03:04:05Z", tasks=("caption", "ground"))
    model = SkyEyeModel(tower, language_model, spec, info, tokenizer_file)
    model.eval()
    return model


@pytest.fixture(scope="session")
def checkpoint(random_model: SkyEyeModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder, rounded to float16."""
    return random_model.save_checkpoint(tmp_path_factory.mktemp("random") / "checkpoint")
