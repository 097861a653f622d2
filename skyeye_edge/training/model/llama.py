"""The language model: a LLaMA's sizes, as its configuration says, and the tensors that it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import CheckpointError

GATES = ("silu", "swish")  # two names of one function
DERIVED = (
    r".*\.rotary_emb\.(inv_freq|cos_cached|sin_cached)"  # stored by old versions, computed by all
)


@dataclass(frozen=True, slots=True)
class LlamaSizes:
    """Sizes and constants of a LLaMA."""

    width: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    context: int
    vocabulary: int
    norm_eps: float
    rope_base: float
    rope_factor: float  # linear position scaling; 1.0: none
    tied: bool  # the output matrix is the embedding
    attention_bias: bool = False
    mlp_bias: bool = False


def read_sizes(folder: Path) -> LlamaSizes:
    """The sizes in a Hugging Face folder's `config.json`; refuses what llama.cpp cannot compute.

    Raises:
        CheckpointError: missing, damaged, or not a plain LLaMA.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a usable configuration: {error!r}") from error
    return sizes_of(config, path)


def sizes_of(config: Mapping[str, Any], path: Path) -> LlamaSizes:
    """The sizes that a configuration states, which was read from `path`.

    Raises:
        CheckpointError: something is missing, or it is not a plain LLaMA.
    """
    try:
        kind = config["model_type"]
        if kind != "llama":
            raise CheckpointError(f"{path}: model type {kind!r}; only 'llama' can be exported")
        if (gate := config.get("hidden_act", "silu")) not in GATES:
            raise CheckpointError(
                f"{path}: hidden_act {gate!r}; llama.cpp computes a LLaMA with SiLU only, "
                "so its answers would differ"
            )
        heads = int(config["num_attention_heads"])
        base, factor = _rope(config, path)
        return LlamaSizes(
            width=int(config["hidden_size"]),
            mlp=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_width=int(config.get("head_dim") or config["hidden_size"] // heads),
            context=int(config["max_position_embeddings"]),
            vocabulary=int(config["vocab_size"]),
            norm_eps=float(config["rms_norm_eps"]),
            rope_base=base,
            rope_factor=factor,
            tied=bool(config.get("tie_word_embeddings", False)),
            attention_bias=bool(config.get("attention_bias", False)),
            mlp_bias=bool(config.get("mlp_bias", False)),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a usable configuration: {error!r}") from error


def _rope(config: Mapping[str, Any], path: Path) -> tuple[float, float]:
    """(base, linear factor); transformers 5 keeps both in `rope_parameters`, 4 apart."""
    values = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = values.get("rope_type", values.get("type", "default"))
    base = float(values.get("rope_theta", config.get("rope_theta", 10000.0)))
    if kind == "default":
        return base, 1.0
    if kind == "linear":
        return base, float(values["factor"])
    raise CheckpointError(f"{path}: rotary scaling {kind!r}; only 'linear' can be exported")


def tensor_shapes(sizes: LlamaSizes) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of such a LLaMA, in Hugging Face's words, layer by layer."""
    top = (sizes.vocabulary, sizes.width)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": top}
    for layer in range(sizes.layers):
        for name, shape in _layer_shapes(sizes).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    shapes["model.norm.weight"] = (sizes.width,)
    return shapes if sizes.tied else {**shapes, "lm_head.weight": top}


def _layer_shapes(sizes: LlamaSizes) -> dict[str, tuple[int, ...]]:
    queries, keys = sizes.heads * sizes.head_width, sizes.kv_heads * sizes.head_width
    attention = {"q": (queries, sizes.width), "k": (keys, sizes.width), "v": (keys, sizes.width)}
    attention["o"] = (sizes.width, queries)
    mlp = {"gate": (sizes.mlp, sizes.width), "up": (sizes.mlp, sizes.width)}
    mlp["down"] = (sizes.width, sizes.mlp)
    shapes: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (sizes.width,)}
    for kind, parts, biased in (
        ("self_attn", attention, sizes.attention_bias),
        ("mlp", mlp, sizes.mlp_bias),
    ):
        for part, shape in parts.items():
            shapes[f"{kind}.{part}_proj.weight"] = shape
            if biased:
                shapes[f"{kind}.{part}_proj.bias"] = shape[:1]
    return {**shapes, "post_attention_layernorm.weight": (sizes.width,)}
