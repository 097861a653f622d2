"""A Hugging Face LLaMA folder as llama.cpp sees it: names, and the order of rotary rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import CheckpointError, needs
from skyeye_edge.training.model.llama import DERIVED, LlamaSizes

Weights = npt.NDArray[np.float32]
Places = Mapping[str, tuple[Path, str]]  # GGUF tensor name to file and key

_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def find_tensors(folder: Path, sizes: LlamaSizes) -> Places:
    """Where the weights of each GGUF tensor lie, in a fixed order.

    Raises:
        CheckpointError: a file is damaged, a tensor is missing, or one is not known.
    """
    with needs("export"):
        from safetensors import SafetensorError, safe_open
    places: dict[str, tuple[Path, str]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                keys = sorted(file.keys())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: not readable: {error}") from error
        for key in keys:
            if not re.fullmatch(DERIVED, key):
                places[gguf_name(key)] = (path, key)
    if sizes.tied:
        places.pop("output.weight", None)
    _check_complete(folder, places.keys(), sizes)
    return dict(sorted(places.items(), key=lambda place: _order(place[0])))


def gguf_name(key: str) -> str:
    """llama.cpp's name of a Hugging Face LLaMA tensor.

    Raises:
        CheckpointError: the tensor is no part of a LLaMA.
    """
    if key in _TOP:
        return _TOP[key]
    found = _LAYER.fullmatch(key)
    if found is None or found[2] not in _IN_LAYER:
        raise CheckpointError(f"tensor {key!r} is no part of a LLaMA; merge adapters before export")
    return f"blk.{found[1]}.{_IN_LAYER[found[2]]}.{found[3]}"


def _check_complete(folder: Path, names: Iterable[str], sizes: LlamaSizes) -> None:
    wanted = {f"blk.{i}.{part}.weight" for i in range(sizes.layers) for part in _IN_LAYER.values()}
    wanted |= {"token_embd.weight", "output_norm.weight"}
    # Without an output matrix llama.cpp silently takes the embedding.
    wanted |= set() if sizes.tied else {"output.weight"}
    missing = sorted(wanted - set(names))
    if missing:
        raise CheckpointError(f"{folder}: {len(missing)} tensors are missing, first {missing[0]}")


def _order(name: str) -> tuple[int, str]:
    return (int(name.split(".")[1]) if name.startswith("blk.") else -1, name)


def read_facts(path: Path, key: str) -> tuple[tuple[int, ...], str]:
    """Shape of one tensor, and its type by safetensors' name, without reading it."""
    with needs("export"):
        from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        stored = file.get_slice(key)
        return tuple(stored.get_shape()), str(stored.get_dtype())


def read_weights(path: Path, key: str, tensor: str, sizes: LlamaSizes) -> Weights:
    """One tensor in float32, with its rows in llama.cpp's order."""
    with needs("export"):
        from safetensors import safe_open

    with safe_open(path, framework="pt") as file:  # numpy has no bfloat16, torch has
        weights: Weights = file.get_tensor(key).float().numpy()
    if ".attn_q." in tensor:
        return llama_rope_order(weights, sizes.heads)
    if ".attn_k." in tensor:
        return llama_rope_order(weights, sizes.kv_heads)
    return weights


def llama_rope_order(weights: Weights, heads: int) -> Weights:
    """Rows of q or k from Hugging Face's rotary order (halves) to llama.cpp's (neighbours).

    Args:
        weights: (heads * head width, ...); of k, `heads` counts the key/value heads. Shapes do not
            change, so a wrong order loads cleanly and only a comparison of logits shows it.
    """
    rows, *rest = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, *rest)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weights.shape)
