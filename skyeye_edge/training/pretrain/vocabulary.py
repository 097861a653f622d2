"""The tokenizer of skyeye-tiny: byte-pair pieces of its texts, one piece per box edge."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece


def train_vocabulary(sentences: Iterable[str], path: Path, size: int, bins: int) -> Path:
    """Write a sentencepiece model of exactly `size` pieces.

    Byte fallback, so that every text has ids; no dummy prefix, so that texts can be joined without
    gaining spaces; `<0>`..`<bins>` are pieces of their own, so that a box costs six tokens and an
    edge is one decision.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=size,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        character_coverage=1.0,
        user_defined_symbols=[f"<{step}>" for step in range(bins + 1)],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=1,
    )
    path.write_bytes(model.getvalue())
    return path
