"""The head of a GGUF file, read without libllama, which aborts the process on some bad ones."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core import limits
from skyeye_edge.core.errors import BundleError

Scalar = int | float | bool | str
# Layout of each type number, as struct writes it.
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_TOKENS = "tokenizer.ggml.tokens"
TOKENIZERS = ("llama", "gpt2")  # sentencepiece's pieces, and pairs of bytes


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Key and value pairs of a GGUF file; of the arrays only the tokens' texts."""

    values: Mapping[str, Scalar]
    tokens: tuple[bytes, ...]


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a GGUF file, version 2 or 3, little-endian.

    Raises:
        BundleError: not such a file, or cut off.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).header()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, struct.error) as error:
        raise BundleError(
            f"{path}: not a GGUF file, or damaged ({error}); export or copy the bundle again"
        ) from error


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._place = 0

    def header(self) -> GgufHeader:
        magic, version, tensors, pairs = self._take("4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"begins with {magic!r}, version {version}")
        limits.check_at_most("tensors", tensors, limits.GGUF_TENSORS)
        limits.check_at_most("values", pairs, limits.GGUF_VALUES)
        values: dict[str, Scalar] = {}
        tokens: tuple[bytes, ...] = ()
        for _ in range(pairs):
            key = self._string(limits.GGUF_KEY_BYTES).decode()
            (kind,) = self._take("I")
            if kind == _ARRAY:
                strings = self._array()
                tokens = strings if key == _TOKENS else tokens
            elif kind == _STRING:
                values[key] = self._string().decode("utf-8", "replace")
            else:
                (values[key],) = self._take(_SCALARS[kind])
        return GgufHeader(values, tokens)

    def _take(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + layout, self._data, self._place)
        self._place += struct.calcsize("<" + layout)
        return found

    def _string(self, longest: int = limits.GGUF_TEXT_BYTES) -> bytes:
        (length,) = self._take("Q")
        limits.check_at_most("bytes of a text", length, longest)
        end = self._place + length
        if end > len(self._data):
            raise ValueError("cut off inside a text")
        text = self._data[self._place : end]
        self._place = end
        return text

    def _array(self) -> tuple[bytes, ...]:
        """The texts of an array of texts; any other array is passed over, one of arrays refused."""
        kind, length = self._take("IQ")
        limits.check_at_most("entries of an array", length, limits.GGUF_ARRAY)
        if kind == _STRING:
            return tuple(self._string() for _ in range(length))
        self._place += length * struct.calcsize("<" + _SCALARS[kind])
        if self._place > len(self._data):
            raise ValueError("cut off inside an array")
        return ()


def check_gguf(path: Path, *, vocabulary: int, width: int) -> None:
    """Check that a GGUF is a LLaMA with the vocabulary and width that its manifest states.

    Raises:
        BundleError: it is not, or libllama would not survive it.
    """
    header = read_gguf_header(path)
    values, tokens = header.values, header.tokens
    _equal(path, "architecture", values.get("general.architecture"), "llama")
    tokenizer = values.get("tokenizer.ggml.model")
    if tokenizer not in TOKENIZERS:
        raise BundleError(f"{path}: tokenizer is {tokenizer}, known are {', '.join(TOKENIZERS)}")
    _equal(path, "vocabulary", len(tokens), vocabulary)
    _equal(path, "width", values.get("llama.embedding_length"), width)
    if len(set(tokens)) != len(tokens):  # libllama aborts the process on two equal ones
        raise BundleError(f"{path}: two tokens have the same text; export the bundle again")
    _check_sizes(path, values)
    for name in ("bos", "eos", "unknown"):
        token = values.get(f"tokenizer.ggml.{name}_token_id", 0)
        if not isinstance(token, int) or not 0 <= token < len(tokens):
            raise BundleError(f"{path}: {name} token {token} is outside the vocabulary")


def _check_sizes(path: Path, values: Mapping[str, Scalar]) -> None:
    """Layers and heads, which libllama multiplies and divides by before it looks at them."""
    for key, limit in (
        ("llama.block_count", limits.LAYERS),
        ("llama.attention.head_count", limits.LAYERS),
        ("llama.attention.head_count_kv", limits.LAYERS),
        ("llama.embedding_length", limits.WIDTH),
        ("llama.feed_forward_length", 16 * limits.WIDTH),
        ("llama.context_length", 2**31 - 1),
    ):
        found = values.get(key)
        if found is not None and not (isinstance(found, int) and 1 <= found <= limit):
            raise BundleError(f"{path}: {key} is {found}; 1 to {limit:,} can be")


def _equal(path: Path, what: str, found: object, stated: object) -> None:
    if found != stated:
        raise BundleError(
            f"{path}: {what} is {found}, the manifest says {stated}. The file does not belong to "
            "this bundle: export it again"
        )
