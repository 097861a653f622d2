from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyeye_edge.core.bundle import Bundle
from skyeye_edge.core.errors import BundleError
from skyeye_edge.core.manifest import FileEntry, Manifest
from skyeye_edge.core.memory import (
    LIBRARIES,
    MemoryNeed,
    free_memory,
    memory_need,
    remembered_prompts,
)
from skyeye_edge.core.spec import ModelSpec, VisionSpec

MakeBundle = Callable[..., Bundle]
SIZES = {
    "llama.block_count": 4,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.embedding_length": 256,
}


@pytest.fixture
def make_bundle(tmp_path: Path, llama_gguf: Callable[..., bytes]) -> MakeBundle:
    """A bundle whose GGUF header says the given sizes; its vision weights lie beside the graph."""

    def make(**sizes: int) -> Bundle:
        gguf = tmp_path / "llm.gguf"
        gguf.write_bytes(llama_gguf(**{key.replace(".", "__"): n for key, n in sizes.items()}))
        files = {
            "llm.gguf": FileEntry("0" * 64, 5000),
            "vision.onnx": FileEntry("0" * 64, 100),
            "vision.onnx.data": FileEntry("0" * 64, 900),
        }
        manifest = Manifest(
            name="x",
            version="1",
            created="",
            commercial_use=False,
            architecture={},
            spec=ModelSpec(VisionSpec(112, 16, 256), context=2048),
            vocabulary=5,
            vision_variants={"fp32": "vision.onnx"},
            vision_default={},
            language_variants={"Q8_0": "llm.gguf"},
            language_default="Q8_0",
            tasks=(),
            licences=(),
            files=files,
        )
        return Bundle(tmp_path, manifest, "")

    return make


def test_memory_is_both_models_and_full_contexts_of_keys_and_values(
    make_bundle: MakeBundle,
) -> None:
    need = memory_need(make_bundle(**SIZES), "fp32", "Q8_0")

    # 8 prompts: keys and values of 4 layers x 2 heads x 64 entries of 2 bytes, for 2048 positions
    assert need == MemoryNeed(vision=1000, language=5000, kv=8 * 2 * 4 * 2 * 64 * 2 * 2048)
    assert need.total == 1000 + 5000 + need.kv + LIBRARIES


def test_four_bit_matrices_are_kept_a_second_time(make_bundle: MakeBundle) -> None:
    need = memory_need(make_bundle(**SIZES, **{"general.file_type": 15}), "fp32", "Q8_0")

    assert need.repacked == round(0.53 * 5000)
    assert need.total == 1000 + 5000 + need.kv + need.repacked + LIBRARIES


def test_as_many_prompts_are_kept_as_fit_and_at_least_one(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(**SIZES)  # 4 MiB each, of which 15 in 16 are for prompts

    kept = [remembered_prompts(bundle, "Q8_0", mib) for mib in (256, 32, 13, 1)]
    exact = remembered_prompts(bundle, "Q8_0", 32, exact=True)

    assert (kept, exact) == ([8, 7, 3, 1], 3)


def test_without_grouped_heads_every_head_is_kept(make_bundle: MakeBundle) -> None:
    plain = {key: n for key, n in SIZES.items() if not key.endswith("_kv")}

    grouped = memory_need(make_bundle(**SIZES), "fp32", "Q8_0")
    full = memory_need(make_bundle(**plain), "fp32", "Q8_0")

    assert full.kv == 2 * grouped.kv


def test_free_memory_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 5 kB\n")
    monkeypatch.setattr("skyeye_edge.core.memory._MEMORY_FACTS", tmp_path / "meminfo")

    assert free_memory() == 5 * 1024


def test_a_header_without_sizes_is_a_damaged_bundle(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="block_count"):
        memory_need(make_bundle(), "fp32", "Q8_0")
