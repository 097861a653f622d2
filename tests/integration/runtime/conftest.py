"""A language model of random weights, small enough to be written and opened in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from skyeye_edge.runtime.language import EncodedImage, LanguageModel
from skyeye_edge.runtime.libllama import ContextOptions, LlamaModel, quantise_gguf

WIDTH, LAYERS, HEADS, KV_HEADS, MLP = 64, 2, 4, 2, 128
CONTEXT = 512
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def tokens() -> list[tuple[str, int]]:
    """Three control tokens, the 256 bytes, and single characters."""
    named = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    spelled = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    signs = "▁abcdefghijklmnopqrstuvwxyz0123456789<>{}"
    return named + spelled + [(sign, NORMAL) for sign in signs]


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    kv = WIDTH // HEADS * KV_HEADS
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        block = {
            "attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH),
            "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,),
            "ffn_gate": (MLP, WIDTH), "ffn_up": (MLP, WIDTH), "ffn_down": (WIDTH, MLP),
        }  # fmt: skip
        found |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return found


@pytest.fixture(scope="session")
def f32_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in float32, and a vocabulary that can spell everything."""
    path = tmp_path_factory.mktemp("gguf") / "random.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    vocabulary = tokens()
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in vocabulary])
    writer.add_token_scores([-float(number) for number in range(len(vocabulary))])
    writer.add_token_types([kind for _, kind in vocabulary])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    random = np.random.default_rng(7)
    for name, shape in shapes(len(vocabulary)).items():
        spread = 0.15 if len(shape) == 2 else 0.0
        weights = random.normal(float(len(shape) == 1), spread, shape)
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def q8_gguf(f32_gguf: Path) -> Path:
    """The same weights as they are shipped."""
    path = f32_gguf.with_name("random.q8_0.gguf")
    quantise_gguf(f32_gguf, path, "Q8_0")
    return path


@pytest.fixture
def weights(f32_gguf: Path) -> Iterator[LlamaModel]:
    """The opened file."""
    model = LlamaModel(f32_gguf)
    yield model
    model.close()


@pytest.fixture
def language(q8_gguf: Path) -> Iterator[LanguageModel]:
    """A language model with Q8_0 weights."""
    opened = LanguageModel(q8_gguf, ContextOptions(length=CONTEXT))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def pictures() -> list[EncodedImage]:
    """Six encoded images of 20 visual tokens."""
    random = np.random.default_rng(1)
    return [
        EncodedImage(random.normal(0, 0.5, (20, WIDTH)).astype(np.float32), b"picture %d" % number)
        for number in range(6)
    ]
