"""The language side as GGUF, read by llama.cpp's Python library itself and held against PyTorch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.export.language import (
    check_language_variants,
    export_language,
    list_types,
    replaced_types,
    tensor_types,
    write_gguf,
)
from skyeye_edge.export.llama import gguf_name, llama_rope_order
from skyeye_edge.training.model.llama import read_sizes
from skyeye_edge.training.model.skyeye import SkyEyeModel

IDS = [1, *np.random.default_rng(0).integers(3, 300, 40).tolist()]


@pytest.fixture(scope="module")
def full(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "llm.f32.gguf"
    write_gguf(checkpoint / "llm", path, "random")
    return path


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the Hugging Face folder, to be spoilt."""
    return Path(shutil.copytree(checkpoint / "llm", tmp_path / "llm"))


def llama_logits(path: Path) -> np.ndarray:
    """(T, V), by the high-level class of llama-cpp-python in its exact setting."""
    model = llama_cpp.Llama(
        str(path),
        n_ctx=256,
        n_threads=1,
        logits_all=True,
        flash_attn=False,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
        verbose=False,
    )
    model.eval(IDS)
    logits = np.array(model.scores[: len(IDS)])
    model.close()
    return logits


def torch_logits(folder: Path) -> np.ndarray:
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        return np.asarray(model(torch.tensor([IDS])).logits[0])


def test_logits_equal_those_of_hugging_face_with_grouped_query_attention(
    checkpoint: Path, full: Path
) -> None:
    assert np.abs(llama_logits(full) - torch_logits(checkpoint / "llm")).max() < 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tie_word_embeddings": True}, id="tied output matrix"),
        pytest.param({"rope_theta": 1234.0}, id="another rotary base"),
        pytest.param({"rope_scaling": {"type": "linear", "factor": 4.0}}, id="linear scaling"),
        pytest.param({"attention_bias": True}, id="biases in attention"),
        pytest.param({"head_dim": 64}, id="heads wider than their share"),
        pytest.param({"num_key_value_heads": 8}, id="as many key heads"),
    ],
)
def test_logits_are_equal_for_every_shape_of_llama(
    tokenizer_file: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    torch.manual_seed(1)
    sizes: dict[str, object] = {
        "vocab_size": 512,
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 1,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "initializer_range": 0.1,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**sizes, **changes}))
    for name, weights in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weights)
    model.save_pretrained(tmp_path / "llm")
    shutil.copy(tokenizer_file, tmp_path / "llm" / "tokenizer.model")

    write_gguf(tmp_path / "llm", tmp_path / "llm.gguf", "shape")

    expected = torch_logits(tmp_path / "llm")
    assert np.abs(llama_logits(tmp_path / "llm.gguf") - expected).max() < 1e-3


def test_rotary_halves_become_neighbours_within_each_head() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]

    ordered = llama_rope_order(rows, heads=2)

    assert ordered[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_types_are_those_that_were_asked_for(checkpoint: Path, tmp_path: Path) -> None:
    warnings = export_language(
        checkpoint / "llm", ["F32", "F16", "Q8_0", "Q4_K_M"], tmp_path, tmp_path, "random"
    )

    found = {path.name: list_types(tensor_types(path)) for path in tmp_path.iterdir()}
    assert warnings == ()
    assert found["llm.f32.gguf"] == "16 F32"
    assert found["llm.f16.gguf"] == "16 F16"
    assert found["llm.q8_0.gguf"] == "16 Q8_0"
    assert {part.split()[1] for part in found["llm.q4_k_m.gguf"].split(", ")} == {"Q4_K", "Q6_K"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_quantised_file_is_the_same_from_halves_as_from_float32(
    random_model: SkyEyeModel, tmp_path: Path, dtype: torch.dtype
) -> None:
    llm = random_model.save_checkpoint(tmp_path / "half", dtype) / "llm"
    for name in ("alone", "beside", "scratch"):
        (tmp_path / name).mkdir()

    export_language(llm, ["Q8_0"], tmp_path / "alone", tmp_path / "scratch", "x")
    export_language(llm, ["F32", "Q8_0"], tmp_path / "beside", tmp_path / "scratch", "x")

    halves, full = (
        tensor_types(tmp_path / p) for p in ("scratch/llm.f32.gguf", "beside/llm.f32.gguf")
    )
    assert set(halves.values()) == {"F16" if dtype == torch.float16 else "BF16"}
    assert set(full.values()) == {"F32"}
    alone, beside = (tmp_path / name / "llm.q8_0.gguf" for name in ("alone", "beside"))
    assert alone.read_bytes() == beside.read_bytes()


def test_types_that_libllama_replaced_in_silence_are_a_warning(
    tokenizer_file: Path, tmp_path: Path
) -> None:
    narrow = LlamaConfig(
        vocab_size=512,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=1,
        num_attention_heads=6,
    )
    LlamaForCausalLM(narrow).save_pretrained(tmp_path / "llm")
    shutil.copy(tokenizer_file, tmp_path / "llm" / "tokenizer.model")

    warnings = export_language(tmp_path / "llm", ["Q4_K_M", "Q8_0"], tmp_path, tmp_path, "narrow")

    assert len(warnings) == 1
    assert warnings[0].startswith("llm.q4_k_m.gguf: 8 of 9 matrices are not Q4_K_M but ")


@pytest.mark.parametrize(
    ("variant", "types", "replaced"),
    [
        pytest.param("Q8_0", ["Q8_0", "Q8_0"], [], id="plain"),
        pytest.param("Q4_0", ["Q4_0", "Q6_K"], [], id="a better output matrix is meant"),
        pytest.param("Q6_K", ["Q6_K", "Q8_0"], ["Q8_0"], id="wide type replaced"),
        pytest.param("IQ4_XS", ["IQ4_XS", "IQ4_NL"], ["IQ4_NL"], id="importance type replaced"),
        pytest.param("F16", ["F16", "F32"], ["F32"], id="left in full"),
    ],
)
def test_replaced_types_are_told_from_mixed_ones(
    variant: str, types: list[str], replaced: list[str]
) -> None:
    found = replaced_types({str(number): kind for number, kind in enumerate(types)}, variant)

    assert list(found.values()) == replaced


def test_an_unknown_type_names_the_known_ones(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Q8_0"):
        export_language(checkpoint / "llm", ["Q8_9"], tmp_path, tmp_path, "random")


def test_types_are_upper_case_and_each_once() -> None:
    assert check_language_variants(["q8_0", "F32", "Q8_0"]) == ("Q8_0", "F32")
    with pytest.raises(InputError, match="give one"):
        check_language_variants([])


def test_two_conversions_are_equal_byte_by_byte(
    checkpoint: Path, full: Path, tmp_path: Path
) -> None:
    write_gguf(checkpoint / "llm", tmp_path / "again.gguf", "random")

    assert (tmp_path / "again.gguf").read_bytes() == full.read_bytes()


def test_a_tensor_of_an_adapter_is_refused() -> None:
    with pytest.raises(CheckpointError, match="merge"):
        gguf_name("model.layers.0.self_attn.q_proj.lora_A.weight")


def test_a_missing_output_matrix_is_not_taken_for_a_tied_one(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"output\.weight"):
        write_gguf(folder, tmp_path / "llm.gguf", "spoilt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"model_type": "gemma"}, "only 'llama'", id="another family"),
        pytest.param({"rope_parameters": {"rope_type": "yarn"}}, "'yarn'", id="another scaling"),
        pytest.param({"hidden_act": "gelu"}, "'gelu'; llama.cpp", id="another activation"),
        pytest.param({"hidden_size": None}, "not a usable", id="a size is missing"),
        pytest.param({"vocab_size": 100}, "100 rows", id="fewer rows than pieces"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")

    with pytest.raises(CheckpointError, match=message):
        write_gguf(folder, tmp_path / "llm.gguf", "spoilt")


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights")

    with pytest.raises(CheckpointError, match="not readable"):
        write_gguf(folder, tmp_path / "llm.gguf", "spoilt")


def test_sizes_are_read_in_the_words_of_llama_cpp(checkpoint: Path) -> None:
    sizes = read_sizes(checkpoint / "llm")

    assert (sizes.width, sizes.mlp, sizes.heads, sizes.kv_heads) == (256, 512, 8, 2)
