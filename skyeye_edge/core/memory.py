"""What a bundle needs in memory, from its headers: said before it is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.bundle import Bundle
from skyeye_edge.core.errors import BundleError
from skyeye_edge.core.gguf_header import read_gguf_header

LARGE_GGUF = 256 * 2**20  # bytes
REMEMBER_MIB = 256  # that the runtime may remember prompts and images in, unless told otherwise
_MOST_PROMPTS = 8  # more are never at work at once, so they would only be forgotten later
_VISUAL_SHARE = 16  # one part of these is for visual tokens, the rest for prompts
LIBRARIES = 92 * 2**20  # bytes of Python, ONNX Runtime and llama.cpp themselves; docs/full_size.md
# On a CPU llama.cpp keeps matrices of these types a second time, ordered as its kernels read them.
# The share was measured with Q4_K_M of LLaMA-2-7B; docs/full_size.md.
REPACKED_TYPES = (2, 14, 15, 25)  # general.file_type: Q4_0, Q4_K_S, Q4_K_M, IQ4_NL
REPACKED_SHARE = 0.53  # of the file
_MEMORY_FACTS = Path("/proc/meminfo")
_KV_ENTRY_BYTES = 2  # float16, which the runtime keeps unless it is strict


def visual_bytes(remember_mib: int) -> int:
    """Of the memory for what is remembered, the part of encoded images."""
    return remember_mib * 2**20 // _VISUAL_SHARE


def remembered_prompts(
    bundle: Bundle, language: str, remember_mib: int = REMEMBER_MIB, *, exact: bool = False
) -> int:
    """How many prompts are kept in KV memory, each with room for a full context; at least one.

    Args:
        bundle: the bundle.
        language: a variant of it.
        remember_mib: for prompts and encoded images together.
        exact: keys and values in float32.

    Raises:
        BundleError: the GGUF's header does not say its sizes.
    """
    room = remember_mib * 2**20 - visual_bytes(remember_mib)
    each = _kv_bytes(bundle, language) * (2 if exact else 1)
    return max(1, min(_MOST_PROMPTS, room // each))


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes by what they are for."""

    vision: int
    language: int
    kv: int  # a full context for every prompt that is remembered
    repacked: int = 0  # a second copy of 4-bit matrices
    libraries: int = LIBRARIES

    @property
    def total(self) -> int:
        """All of it."""
        return self.vision + self.language + self.kv + self.repacked + self.libraries


def memory_need(bundle: Bundle, vision: str, language: str) -> MemoryNeed:
    """What two variants of a bundle need together; weights as large as their files.

    Raises:
        BundleError: the GGUF's header does not say its sizes.
    """
    files = bundle.manifest.files
    gguf = bundle.language_file(language)
    language_bytes = files[gguf.name].bytes
    return MemoryNeed(
        vision=vision_bytes(bundle, vision),
        language=language_bytes,
        kv=remembered_prompts(bundle, language) * _kv_bytes(bundle, language),
        repacked=round(REPACKED_SHARE * language_bytes) if _is_repacked(bundle, language) else 0,
    )


def _is_repacked(bundle: Bundle, language: str) -> bool:
    values = read_gguf_header(bundle.language_file(language)).values
    return values.get("general.file_type") in REPACKED_TYPES


def vision_bytes(bundle: Bundle, variant: str) -> int:
    """Size of a vision variant: an ONNX file may keep its weights in a file beside it."""
    first = bundle.vision_file(variant).name
    return sum(e.bytes for name, e in bundle.manifest.files.items() if name.startswith(first))


def _kv_bytes(bundle: Bundle, language: str) -> int:
    """Of a full context: one key and one value per position, layer and KV head, in float16."""
    gguf = bundle.language_file(language)
    values = read_gguf_header(gguf).values
    try:
        layers = int(values["llama.block_count"])
        heads = int(values["llama.attention.head_count"])
        kv_heads = int(values.get("llama.attention.head_count_kv", heads))
        width = int(values["llama.embedding_length"])
        head_width = int(values.get("llama.attention.key_length", width // heads))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BundleError(f"{gguf}: its header lacks a size ({error}); export it again") from error
    return 2 * layers * kv_heads * head_width * _KV_ENTRY_BYTES * bundle.spec.context


def free_memory() -> int:
    """Bytes that a program may take without others being pushed out, as Linux estimates them."""
    try:
        for line in _MEMORY_FACTS.read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(value.split()[0])
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
