"""What a bundle needs in memory, from its headers: said before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.bundle import Bundle
from skyeye_edge.core.errors import BackendError, BundleError
from skyeye_edge.core.gguf_header import read_gguf_header
from skyeye_edge.core.spec import VisionSpec

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
_GROUPS = Path("/proc/self/cgroup")
_GROUP_ROOT = Path("/sys/fs/cgroup")
_GROUP_FILES = {  # by controller: limit, and what is used; version 2 names no controller
    "": ("memory.max", "memory.current"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
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
    activations: int = 0  # of one image in the encoder
    one_prompt: int = 0  # the least that `kv` can be

    @property
    def total(self) -> int:
        """All of it."""
        parts = (self.vision, self.language, self.kv, self.repacked, self.libraries)
        return sum(parts) + self.activations


def memory_need(
    bundle: Bundle,
    vision: str,
    language: str,
    remember_mib: int = REMEMBER_MIB,
    *,
    exact: bool = False,
) -> MemoryNeed:
    """What two variants of a bundle need together; weights as large as their files.

    Args:
        bundle: the bundle.
        vision: a variant of it.
        language: likewise.
        remember_mib: for prompts and encoded images together.
        exact: keys and values in float32.

    Raises:
        BundleError: the GGUF's header does not say its sizes.
    """
    files = bundle.manifest.files
    gguf = bundle.language_file(language)
    language_bytes = files[gguf.name].bytes
    one_prompt = _kv_bytes(bundle, language) * (2 if exact else 1)
    prompts = remembered_prompts(bundle, language, remember_mib, exact=exact)
    return MemoryNeed(
        vision=vision_bytes(bundle, vision),
        language=language_bytes,
        kv=prompts * one_prompt,
        repacked=round(REPACKED_SHARE * language_bytes) if _is_repacked(bundle, language) else 0,
        activations=_activation_bytes(bundle.spec.vision),
        one_prompt=one_prompt,
    )


def _activation_bytes(vision: VisionSpec) -> int:
    """Of one image, from the pixels and patches of 14: four layers' worth, the widest being 4 wide.

    Attention of a ViT's head is as large as its patches squared, in float32; 16 heads are kept.
    """
    patches = (vision.image_size // 14) ** 2 + 1
    return 4 * (3 * vision.image_size**2 + 16 * patches**2 + 4 * 4 * patches * 1408)


def _file_bytes(bundle: Bundle, first: str) -> int:
    """Of a file and those that lie beside it under its name, as weights of a large ONNX file do."""
    return sum(e.bytes for name, e in bundle.manifest.files.items() if name.startswith(first))


def _is_repacked(bundle: Bundle, language: str) -> bool:
    values = read_gguf_header(bundle.language_file(language)).values
    return values.get("general.file_type") in REPACKED_TYPES


def vision_bytes(bundle: Bundle, variant: str) -> int:
    """Size of a vision variant: an ONNX file may keep its weights in a file beside it."""
    return _file_bytes(bundle, bundle.vision_file(variant).name)


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


def check_memory(
    bundle: Bundle, vision: str, language: str, remember_mib: int = REMEMBER_MIB, *, exact: bool
) -> None:
    """Refuse to load what does not fit: the system would stop everything, or end some process.

    Raises:
        BackendError: more is needed than is free; says what for, and how to do with less.
        BundleError: the GGUF's header does not say its sizes.
    """
    need, free = memory_need(bundle, vision, language, remember_mib, exact=exact), free_memory()
    if need.total <= free:
        return
    raise BackendError(
        f"{bundle.manifest.name}: needs {_size(need.total)} of memory, and {_size(free)} are free: "
        f"{_size(need.language + need.repacked)} for the language model {language}, "
        f"{_size(need.vision + need.activations)} for vision {vision}, "
        f"{_size(need.kv)} for prompts that are remembered, {_size(need.libraries)} for "
        f"libraries. {_advice(bundle, need, free)}"
    )


def _advice(bundle: Bundle, need: MemoryNeed, free: int) -> str:
    """What of it can be done with less, the least painful first."""
    manifest, ways = bundle.manifest, ["end other programs"]
    if need.kv > need.one_prompt and need.total - need.kv + need.one_prompt <= free:
        ways.insert(0, "remember less: --remember-mib 1")
    for side, variants, now in (
        ("language", manifest.language_variants, need.language),
        ("vision", manifest.vision_variants, need.vision),
    ):
        sizes = {name: _file_bytes(bundle, file) for name, file in variants.items()}
        smaller = min(sizes, key=lambda name: sizes[name])
        if sizes[smaller] < now:
            ways.append(f"take {side}={smaller!r} ({_size(sizes[smaller])})")
    if not manifest.language_variants.get("Q4_0"):
        ways.append("export a smaller variant (skyeye-edge export --language Q4_0)")
    return f"To go on: {'; or '.join(ways)}. --unchecked memory tries it all the same"


def _size(number: int) -> str:
    """Bytes for people."""
    mib = number / 2**20
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


def free_memory() -> int:
    """Bytes that this process may take without others being pushed out, or itself being ended.

    What Linux estimates for the machine, or less where a control group (a container, a service of
    systemd) is allowed less.
    """
    return min([_free_of_machine(), *_free_of_groups()])


def _free_of_machine() -> int:
    try:
        for line in _MEMORY_FACTS.read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(value.split()[0])
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_of_groups() -> Iterator[int]:
    """What is left of the limit of each control group that this process is in, of both versions."""
    try:
        lines = _GROUPS.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        names = _GROUP_FILES.get(controllers)
        if names is None:
            continue
        root = _GROUP_ROOT if not controllers else _GROUP_ROOT / controllers
        here = root / place.strip("/")
        # inside of a container the place is often that of the host, and only the root is there
        for folder in [here, *here.parents]:
            if not folder.is_relative_to(root):
                break
            limit, used = (_number(folder / name) for name in names)
            if limit is not None and used is not None:
                yield max(0, limit - used + _reclaimable(folder))


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text("ascii"))  # "max" is no limit
    except (OSError, ValueError):
        return None


def _reclaimable(folder: Path) -> int:
    """Pages of files that nobody used lately: they count as used, and are given up when needed."""
    try:
        for line in (folder / "memory.stat").read_text("ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
