"""What must be known of a GGUF file before libllama may see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skyeye_edge.core.errors import BundleError
from skyeye_edge.core.gguf_header import check_gguf, read_gguf_header

LlamaGguf = Callable[..., bytes]


@pytest.fixture
def file(tmp_path: Path, llama_gguf: LlamaGguf) -> Path:
    path = tmp_path / "llm.gguf"
    path.write_bytes(llama_gguf())
    return path


def test_values_and_tokens_are_read(file: Path) -> None:
    header = read_gguf_header(file)

    assert header.tokens == (b"<unk>", b"<s>", b"</s>", b"a", "é".encode())
    assert header.values["general.architecture"] == "llama"
    assert header.values["llama.embedding_length"] == 8
    assert header.values["llama.rope.freq_base"] == 10000.0
    assert header.values["tokenizer.ggml.add_bos_token"] is False


def test_a_file_of_the_gguf_library_is_read(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(tmp_path / "real.gguf"), "llama")
    writer.add_embedding_length(64)
    writer.add_tokenizer_model("llama")
    writer.add_token_scores([0.0, -1.0])
    writer.add_token_list(["<unk>", "▁a"])
    writer.add_token_types([2, 1])
    writer.add_uint64("test.big", 2**40)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    header = read_gguf_header(tmp_path / "real.gguf")

    assert header.tokens == (b"<unk>", "▁a".encode())
    assert (header.values["llama.embedding_length"], header.values["test.big"]) == (64, 2**40)


def test_a_file_that_fits_its_manifest_passes(file: Path) -> None:
    check_gguf(file, vocabulary=5, width=8)


def test_a_tokenizer_of_byte_pairs_is_taken(file: Path, llama_gguf: LlamaGguf) -> None:
    file.write_bytes(llama_gguf(tokenizer__ggml__model="gpt2"))

    check_gguf(file, vocabulary=5, width=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 4}, "version 4"),
        ({"magic": b"GGML"}, "begins with b'GGML'"),
        ({"general__architecture": "gpt2"}, "architecture is gpt2, the manifest says llama"),
        ({"tokenizer__ggml__model": "bert"}, "tokenizer is bert, known are llama, gpt2"),
        ({"tokenizer__ggml__tokens": [b"<unk>", b"<s>", b"</s>"]}, "vocabulary is 3.*says 5"),
        ({"llama__embedding_length": 16}, "width is 16, the manifest says 8"),
        ({"tokenizer__ggml__tokens": [b"a", b"b", b"c", b"d", b"a"]}, "two tokens.*same text"),
        ({"tokenizer__ggml__eos_token_id": 5}, "eos token 5 is outside"),
    ],
    ids=[
        "newer",
        "other magic",
        "architecture",
        "tokenizer",
        "vocabulary",
        "width",
        "equal tokens",
        "control token",
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    file: Path, llama_gguf: LlamaGguf, changes: dict[str, Any], message: str
) -> None:
    file.write_bytes(llama_gguf(**changes))

    with pytest.raises(BundleError, match=message):
        check_gguf(file, vocabulary=5, width=8)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"just text", id="text"),
        pytest.param(b"GGUF\x03\0\0\0" + b"\0" * 16, id="no values"),
        pytest.param(b"GGUF\x03\0\0\0" + b"\xff" * 16, id="giant number of values"),
    ],
)
def test_a_file_that_is_no_gguf_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(BundleError):
        check_gguf(file, vocabulary=5, width=8)


@pytest.mark.parametrize("part", range(60))
def test_a_file_cut_anywhere_in_its_head_is_refused(file: Path, part: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * part // 60])

    with pytest.raises(BundleError, match="damaged"):
        read_gguf_header(file)
