from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyeye_edge.core.bundle import Bundle
from skyeye_edge.core.errors import BackendError, BundleError
from skyeye_edge.core.manifest import FileEntry, Manifest
from skyeye_edge.core.memory import (
    LIBRARIES,
    check_memory,
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
    assert (need.vision, need.language, need.kv) == (1000, 5000, 8 * 2 * 4 * 2 * 64 * 2 * 2048)
    assert need.total == 1000 + 5000 + need.kv + LIBRARIES + need.activations


def test_four_bit_matrices_are_kept_a_second_time(make_bundle: MakeBundle) -> None:
    need = memory_need(make_bundle(**SIZES, **{"general.file_type": 15}), "fp32", "Q8_0")

    assert need.repacked == round(0.53 * 5000)
    assert need.total == 1000 + 5000 + need.kv + need.repacked + LIBRARIES + need.activations


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


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/", {"memory.max": "3072", "memory.current": "1024"}, 2048),
        ("0::/a/b", {"a/memory.max": "3000", "a/memory.current": "2900"}, 100),
        ("0::/", {"memory.max": "max", "memory.current": "1024"}, 5 * 1024),
        ("0::/not/here", {"memory.max": "2000", "memory.current": "1999"}, 1),
        (
            "0::/",
            {
                "memory.max": "3000",
                "memory.current": "2900",
                "memory.stat": "anon 1\ninactive_file 70",
            },
            170,
        ),
        (
            "5:memory:/x\n0::/",
            {"memory/x/memory.limit_in_bytes": "900", "memory/x/memory.usage_in_bytes": "100"},
            800,
        ),
    ],
    ids=["a container", "above", "no limit", "the host's name", "cache of files", "version 1"],
)
def test_a_control_group_may_leave_less_than_the_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    files: dict[str, str],
    free: int,
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 5 kB\n")
    (tmp_path / "cgroup").write_text(groups + "\n")
    for name, content in files.items():
        file = tmp_path / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    monkeypatch.setattr("skyeye_edge.core.memory._MEMORY_FACTS", tmp_path / "meminfo")
    monkeypatch.setattr("skyeye_edge.core.memory._GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("skyeye_edge.core.memory._GROUP_ROOT", tmp_path / "fs")

    assert free_memory() == free


def test_a_model_that_does_not_fit_is_refused_with_figures_and_a_way_out(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(**SIZES)
    less = memory_need(bundle, "fp32", "Q8_0").total - 1
    (tmp_path / "meminfo").write_text(f"MemAvailable: {less // 1024} kB\n")
    monkeypatch.setattr("skyeye_edge.core.memory._MEMORY_FACTS", tmp_path / "meminfo")

    with pytest.raises(
        BackendError,
        match=r"x: needs 130 MiB of memory, and 130 MiB.*32 MiB for prompts.*--remember-mib 1",
    ):
        check_memory(bundle, "fp32", "Q8_0", exact=False)


def test_a_header_without_sizes_is_a_damaged_bundle(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="block_count"):
        memory_need(make_bundle(), "fp32", "Q8_0")
