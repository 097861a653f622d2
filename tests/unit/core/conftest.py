"""A bundle in miniature: right in every byte that the core looks at, and no model inside."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LlamaGguf = Callable[..., bytes]
Rewrite = Callable[..., None]


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def _value(value: object) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value.encode())
        case [bytes(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(
                _text(each) for each in value if isinstance(each, bytes)
            )
        case [*numbers]:
            return struct.pack(f"<IIQ{len(numbers)}f", 9, 6, len(numbers), *numbers)
    raise TypeError(value)


def _llama_gguf(magic: bytes = b"GGUF", version: int = 3, **changes: object) -> bytes:
    values: dict[str, object] = {
        "general.architecture": "llama",
        "llama.embedding_length": 8,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.scores": [0.0, -1.0, -2.0, -3.0, -4.0],
        "tokenizer.ggml.tokens": [b"<unk>", b"<s>", b"</s>", b"a", "é".encode()],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    head = struct.pack("<4sIQQ", magic, version, 0, len(values))
    return head + b"".join(_text(key.encode()) + _value(value) for key, value in values.items())


@pytest.fixture
def llama_gguf() -> LlamaGguf:
    """The head of a GGUF file after the format's description: a LLaMA of width 8, five tokens.

    Keyword arguments change a value; `__` in them stands for the dot.
    """
    return _llama_gguf


def entry(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


@pytest.fixture
def manifest_values() -> dict[str, Any]:
    """The JSON of a small manifest, hashes left out."""
    return {
        "schema": 1, "name": "mini", "version": "1.0.0", "created": "2026-11-21T00:00:00Z",
        "commercial_use": False,
        "architecture": {"vision": "eva", "aligner": "linear", "language": "llama"},
        "vision": {
            "image_size": 112, "tokens": 16, "width": 8,
            "preprocess": {
                "resize": "pillow-bicubic", "fit": "stretch",
                "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
            },
            "variants": {"fp32": "vision.fp32.onnx", "int8": "vision.int8.onnx"},
            "default": {"cpu": "int8", "cuda": "fp16", "tensorrt": "fp16"},
            "one_by_one": ["int8"],
        },
        "language": {
            "variants": {"F32": "llm.f32.gguf"}, "default": "Q8_0",
            "context": 2048, "vocabulary": 5,
        },
        "prompt": {"template": "minigptv2", "train_form": "infer", "infer_form": "infer"},
        "boxes": {
            "bins": 100, "labels": "rounded", "absent": "not in the image", "format": "minigptv2",
            "min_size": 1,
        },
        "tasks": ["caption"], "licences": ["none"],
        "provenance": {"checkpoint_sha256": "00", "tools": {}, "recipe": {}, "data": []},
        "files": {name: entry(b"") for name in ("vision.fp32.onnx", "vision.int8.onnx",
                                                "llm.f32.gguf")},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the user's that is empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def rewrite(tmp_path: Path, manifest_values: dict[str, Any]) -> Rewrite:
    """Write the bundle anew with other files or manifest values; hashes always fit."""

    def write(files: dict[str, bytes] | None = None, **changes: Any) -> None:
        contents = {
            "vision.fp32.onnx": b"thirty-two bits",
            "vision.int8.onnx": b"eight bits",
            "llm.f32.gguf": _llama_gguf(),
        } | (files or {})
        root = tmp_path / "mini"
        root.mkdir(exist_ok=True)
        for name, content in contents.items():
            (root / name).write_bytes(content)
        listed = {name: entry(content) for name, content in contents.items()}
        values = manifest_values | {"files": listed} | changes
        (root / "manifest.json").write_text(json.dumps(values), encoding="utf-8")

    return write


@pytest.fixture
def bundle_folder(tmp_path: Path, rewrite: Rewrite) -> Path:
    """A bundle that opens."""
    rewrite()
    return tmp_path / "mini"
