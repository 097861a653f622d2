"""The language side of a checkpoint as GGUF: written unrounded; quantised types are read back."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import BackendError, BundleError, InputError, needs
from skyeye_edge.export.llama import find_tensors, read_facts, read_weights
from skyeye_edge.export.tokenizer import TokenList, read_tokens
from skyeye_edge.runtime import quantise_gguf
from skyeye_edge.training.model.llama import LlamaSizes, read_sizes

if TYPE_CHECKING:
    import gguf

_HALVES = ("F16", "BF16")
K_QUANT_WIDTH = 256  # columns that K-quants and most IQ types need a multiple of


def language_file_name(variant: str) -> str:
    """Name of a type's file in a bundle."""
    return f"llm.{variant.lower()}.gguf"


def write_gguf(
    folder: Path, target: Path, name: str, *, as_stored: bool = False
) -> tuple[str, ...]:
    """Write a Hugging Face LLaMA folder as a GGUF, in float32 or `as_stored`.

    One tensor is in memory at a time. As stored, matrices of half precision stay so: half the
    bytes, and the quantiser makes the same of them.

    Args:
        folder: `config.json`, `*.safetensors`, `tokenizer.model`.
        target: the file to write.
        name: of the model, as programs show it.

    Returns:
        Warnings for the user, if any.

    Raises:
        CheckpointError: a file is missing, a tensor too, or one is not known.
    """
    with needs("export"):
        import gguf
    sizes = read_sizes(folder)
    tokens = read_tokens(folder / "tokenizer.model", sizes.vocabulary)
    places = find_tensors(folder, sizes)
    facts = {tensor: read_facts(*place) for tensor, place in places.items()}
    kinds = {
        tensor: kind if as_stored and len(shape) > 1 and kind in _HALVES else "F32"
        for tensor, (shape, kind) in facts.items()
    }
    with closing(gguf.GGUFWriter(str(target), "llama")) as writer:
        _describe(writer, sizes, name)
        _add_tokens(writer, tokens)
        for tensor, (shape, _) in facts.items():
            kind = gguf.GGMLQuantizationType[kinds[tensor]]
            size = (4 if kind.name == "F32" else 2) * math.prod(shape)
            writer.add_tensor_info(tensor, shape, np.dtype(np.float32), size, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, place in places.items():
            writer.write_tensor_data(_as_kind(read_weights(*place, tensor, sizes), kinds[tensor]))
    return tokens.warnings


def _as_kind(weights: npt.NDArray[np.float32], kind: str) -> npt.NDArray[Any]:
    """Float32 values that a narrower type holds exactly, in that type's bytes."""
    if kind == "BF16":  # numpy has none: its bits are the upper half of float32's
        return (weights.view(np.uint32) >> 16).astype(np.uint16)
    return weights.astype(np.float16) if kind == "F16" else weights


def _describe(writer: gguf.GGUFWriter, sizes: LlamaSizes, name: str) -> None:
    from gguf import LlamaFileType, RopeScalingType

    writer.add_name(name)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_vocab_size(sizes.vocabulary)
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.mlp)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.kv_heads)
    writer.add_key_length(sizes.head_width)
    writer.add_value_length(sizes.head_width)
    writer.add_layer_norm_rms_eps(sizes.norm_eps)
    writer.add_rope_dimension_count(sizes.head_width)
    writer.add_rope_freq_base(sizes.rope_base)
    if sizes.rope_factor != 1.0:
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(sizes.rope_factor)


def _add_tokens(writer: gguf.GGUFWriter, tokens: TokenList) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens.pieces)
    writer.add_token_scores(tokens.scores)
    writer.add_token_types(tokens.types)
    writer.add_bos_token_id(tokens.bos)
    writer.add_eos_token_id(tokens.end)
    writer.add_unk_token_id(tokens.unknown)
    writer.add_add_bos_token(False)  # prompts write their own; absent would mean True
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(tokens.dummy_prefix)


def tensor_types(path: Path) -> dict[str, str]:
    """Type of every matrix in a GGUF, by tensor name.

    What was asked for is not always what is there. Vectors (norms, biases) always stay float32 and
    are left out.
    """
    with needs("export"):
        from gguf import GGUFReader
    return {
        tensor.name: tensor.tensor_type.name
        for tensor in GGUFReader(str(path)).tensors
        if len(tensor.shape) > 1
    }


def replaced_types(types: Mapping[str, str], variant: str) -> dict[str, str]:
    """The matrices that have another type than `variant` means, with the type they have.

    libllama replaces a type whose blocks do not fit the row length and reports success. The mixed
    types (Q4_K_M, IQ3_XS, ...) consist of several types, all with blocks of 256; the others may
    have such a type for the output matrix.
    """
    with needs("export"):
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    wide = {kind.name for kind, (block, _) in GGML_QUANT_SIZES.items() if block == K_QUANT_WIDTH}
    meant = wide | ({variant} if variant in GGMLQuantizationType.__members__ else set())
    return {name: kind for name, kind in types.items() if kind not in meant}


def list_types(types: Mapping[str, str]) -> str:
    """How many matrices have which type, for humans."""
    return ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(types.values()).items()))


def check_language_variants(variants: Iterable[str]) -> tuple[str, ...]:
    """The types in upper case, without repetitions, in the order given.

    Raises:
        InputError: there is none. Whether libllama knows a type, the quantiser says.
    """
    chosen = tuple(dict.fromkeys(variant.upper() for variant in variants))
    if not chosen:
        raise InputError("no language type: give one, for example Q8_0 or F32")
    return chosen


def export_language(
    folder: Path, variants: Sequence[str], target: Path, scratch: Path, name: str
) -> tuple[str, ...]:
    """Write one GGUF per type, and say where it is not what was asked for.

    Args:
        folder: the Hugging Face folder.
        variants: types by libllama's names.
        target: the folder for the files.
        scratch: a folder for what is needed on the way.
        name: of the model.

    Returns:
        Warnings for the user, if any.

    Raises:
        CheckpointError: the folder cannot be exported.
        InputError: a type is not known.
        BackendError: libllama refused to quantise.
    """
    wanted = "F32" in variants
    full = (target if wanted else scratch) / language_file_name("F32")
    warnings = [*write_gguf(folder, full, name, as_stored=not wanted)]
    for variant in variants:
        path = target / language_file_name(variant)
        if path != full:
            _quantise(full, path, variant)
        types = tensor_types(path)
        if replaced := replaced_types(types, variant):
            warnings.append(
                f"{path.name}: {len(replaced)} of {len(types)} matrices are not {variant} but "
                f"{list_types(replaced)}, because their widths are no multiples of its blocks"
            )
    return tuple(warnings)


def _quantise(full: Path, path: Path, variant: str) -> None:
    try:
        quantise_gguf(full, path, variant)
    except BackendError as error:
        free = shutil.disk_usage(path.parent).free
        if free < full.stat().st_size:  # libllama says "iostream error", whatever happened
            raise BundleError(
                f"{path.name}: no space left on the disk ({free:,} bytes free, {variant} may need "
                f"up to {full.stat().st_size:,}); make room, then export again"
            ) from error
        raise
