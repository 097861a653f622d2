"""A LLaMA folder of others: its tensors, by name and shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.llama import DERIVED, LlamaSizes, read_sizes, tensor_shapes
from skyeye_edge.training.model.tensors import LazyTensor, Tensors, open_weights

TOKENIZER = "tokenizer.model"
_OF_THEIR_MACHINE = ("_name_or_path", "transformers_version")


@dataclass(frozen=True, slots=True)
class Language:
    """The language model of a checkpoint that is being made."""

    sizes: LlamaSizes
    config: Mapping[str, Any]
    tensors: Tensors
    tokenizer: Path


def read_language(folder: Path) -> Language:
    """A Hugging Face LLaMA folder, weights not read yet.

    Raises:
        InputError: there is no such folder.
        CheckpointError: it is no LLaMA, or a tensor is missing, odd or not known.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder; give one with a LLaMA in the Hugging Face format")
    sizes = read_sizes(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config.get("quantization_config"):
        raise CheckpointError(f"{folder}: its weights are quantised; give the ones it was made of")
    if not (folder / TOKENIZER).is_file():
        raise CheckpointError(
            f"{folder}: {TOKENIZER} is missing; copy the sentencepiece model of the LLaMA there "
            "(tokenizer.json alone is not enough: it splits some texts differently)"
        )
    ledger = Ledger(folder, open_weights(folder).tensors)
    tensors = take_llama(ledger, sizes)
    ledger.close("Adapters and other families have to be merged or converted before")
    kept = {key: value for key, value in config.items() if key not in _OF_THEIR_MACHINE}
    return Language(sizes, kept, tensors, folder / TOKENIZER)


def take_llama(ledger: Ledger, sizes: LlamaSizes, prefix: str = "") -> dict[str, LazyTensor]:
    """Use all tensors of a LLaMA in a ledger; names come back without `prefix`."""
    found = {
        name: ledger.take(prefix + name, shape) for name, shape in tensor_shapes(sizes).items()
    }
    ledger.ignore(re.escape(prefix) + DERIVED)
    if sizes.tied:
        ledger.ignore(re.escape(prefix) + r"lm_head\.weight")
    return found
