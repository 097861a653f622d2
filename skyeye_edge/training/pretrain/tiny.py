"""The sizes of skyeye-tiny, and the model with fresh weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.spec import ModelSpec, PreprocessSpec, VisionSpec
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.model.alignment import JOINED
from skyeye_edge.training.model.checkpoint import CheckpointInfo
from skyeye_edge.training.model.eva import EvaConfig, EvaVit
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.initialise import initialise_places, initialise_tower

VOCABULARY = 2048
BINS = 100
ABSENT = "not in the image"
TOWER = EvaConfig(image_size=192, patch=16, width=256, depth=8, heads=4, mlp=1024, drop_path=0.1)
REDUCED = PreprocessSpec(resize="pillow-bicubic-reduced")
TASKS = ("caption", "describe", "classify", "ground", "identify", "ask")


def build_model(tokenizer_file: Path, seed: int, tower: EvaConfig = TOWER) -> SkyEyeModel:
    """skyeye-tiny with fresh weights; a smaller tower makes a smaller one."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(tokenizer_file)
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.processor.vocab_size(),
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
            attn_implementation="eager",
        )
    )
    for layer in language.model.layers:
        for matrix in (layer.self_attn.o_proj, layer.mlp.down_proj):
            matrix.weight.data /= (2 * len(language.model.layers)) ** 0.5
    vision = EvaVit(tower)
    initialise_tower(vision, torch.Generator().manual_seed(seed))
    spec = ModelSpec(
        vision=VisionSpec(tower.image_size, tower.grid**2 // JOINED, 256, REDUCED),
        boxes=BoxSpec(bins=BINS, labels="rounded", absent=ABSENT, min_size=1),
        frames=1,
    )
    info = CheckpointInfo(name="skyeye-tiny", tasks=TASKS)
    model = SkyEyeModel(vision, language, spec, info, tokenizer_file)
    places = edge_ids(tokenizer)
    initialise_places(language.model.embed_tokens.weight, places)
    initialise_places(language.lm_head.weight, places)
    return model


def edge_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of `<0>`..`<bins>`."""
    return [tokenizer.processor.piece_to_id(f"<{step}>") for step in range(BINS + 1)]
