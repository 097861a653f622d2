"""A sentencepiece model as the token list of a GGUF: pieces, scores, types and special ids.

llama.cpp segments as sentencepiece does only if all of these are copied as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import CheckpointError, needs

# sentencepiece and llama.cpp number the types alike: normal, unknown, control, 4, 5, byte.
USER_DEFINED, UNUSED = 4, 5
UNUSED_SCORE = -1000.0


@dataclass(frozen=True, slots=True)
class TokenList:
    """What a GGUF says about text; the three lists have one entry per row of the embedding."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    types: tuple[int, ...]
    bos: int
    end: int
    unknown: int
    dummy_prefix: bool  # a space is put in front of a text before it is cut
    warnings: tuple[str, ...] = ()


def read_tokens(path: Path, rows: int) -> TokenList:
    """The token list of a `tokenizer.model`, filled up to `rows` with unused placeholders.

    Args:
        path: the sentencepiece model.
        rows: how many rows the embedding has: ids beyond the pieces get unique names, because
            llama.cpp aborts the process on two equal ones.

    Raises:
        CheckpointError: missing, damaged, without begin or end token, or larger than the embedding.
    """
    with needs("export"):
        from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
    try:
        checked = SentencePieceProcessor(model_file=str(path))  # says more clearly what is wrong
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a sentencepiece model: {error}") from error
    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    model.ParseFromString(checked.serialized_model_proto())
    found = len(model.pieces)
    if not 0 < found <= rows:
        raise CheckpointError(
            f"{path}: {found} pieces, but the embedding has {rows} rows: "
            "the tokenizer belongs to another model"
        )
    ids = (model.trainer_spec.bos_id, model.trainer_spec.eos_id, model.trainer_spec.unk_id)
    if not all(0 <= number < found for number in ids):
        raise CheckpointError(
            f"{path}: begin, end and unknown token are {ids}; all three are needed"
        )
    pieces = [piece.piece for piece in model.pieces]
    fill = _placeholders(set(pieces), rows - found)
    return TokenList(
        pieces=(*pieces, *fill),
        scores=(*(piece.score for piece in model.pieces), *(UNUSED_SCORE for _ in fill)),
        types=(*(int(piece.type) for piece in model.pieces), *(UNUSED for _ in fill)),
        bos=ids[0],
        end=ids[1],
        unknown=ids[2],
        dummy_prefix=bool(model.normalizer_spec.add_dummy_prefix),
        warnings=tuple(_differences(path, model)),
    )


def _placeholders(taken: set[str], number: int) -> list[str]:
    names = (f"<unused_{i}>" for i in count())
    return list(islice((name for name in names if name not in taken), number))


def _differences(path: Path, model: Any) -> Iterator[str]:
    """Settings under which llama.cpp cuts some texts differently."""
    spec = model.normalizer_spec
    if spec.precompiled_charsmap:
        yield f"{path.name}: llama.cpp does not apply the normaliser {spec.name!r}"
    if spec.remove_extra_whitespaces:
        yield f"{path.name}: llama.cpp keeps repeated spaces that this tokenizer joins"
    if spec.add_dummy_prefix and any(piece.type == USER_DEFINED for piece in model.pieces):
        yield f"{path.name}: llama.cpp puts a space after user-defined pieces too"
