"""The tokenizer of a folder of others as a sentencepiece model, proved to cut texts as theirs.

Hugging Face's folders often hold `tokenizer.json` alone. Of a plain LLaMA it is the sentencepiece
model in other words: the same pieces, and merges in the order of their scores.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from skyeye_edge.core.errors import CheckpointError, needs
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text, build_prompt, text_ids
from skyeye_edge.core.spec import ModelSpec, PromptSpec, Spaces, VisionSpec

MODEL, FAST = "tokenizer.model", "tokenizer.json"
IMAGE = "<image>"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # as sentencepiece writes it
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # sentencepiece's types
_BPE = 2
_CONTROLS = ("<unk>", "<s>", "</s>")
# None begins with a space, which fast tokenizers count as their own: no prompt does. Runs of spaces
# are apart: transformers 5 makes tokenizer.json of a sentencepiece model with these merges first.
_PROOFS = (
    "How many boats are there?",
    "the red car,\tleft of\n\nthe {<12><30><55><78>|<90>}, [0.12, 0.30, 0.55, 0.78]",
    "a", "trailing ", "Häuser, дом, 河边的房子, 🚁🛰️ and e\u0301",
    "[INST] 1234567890 </p><delim>% $$ \u00a0x\u2028y",
)  # fmt: skip

_RUNS = ("the  red   car    left", "trailing  ")

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class FoundTokenizer:
    """Where a tokenizer lies, and how it treats spaces."""

    model: Path | None  # sentencepiece
    fast: Path | None  # tokenizer.json
    legacy: bool | None  # what its configuration says; None: nothing


def find_tokenizer(folders: Iterable[Path | None]) -> FoundTokenizer:
    """The tokenizer of the first folder that has one; a sentencepiece model is taken from any.

    Raises:
        CheckpointError: none has.
    """
    looked = [folder for folder in folders if folder is not None and folder.is_dir()]
    model, fast, config = (
        next((folder / name for folder in looked if (folder / name).is_file()), None)
        for name in (MODEL, FAST, "tokenizer_config.json")
    )
    if model is None and fast is None:
        places = " or ".join(str(folder) for folder in looked)
        raise CheckpointError(
            f"{places}: no {MODEL}; copy the sentencepiece model of the LLaMA there, or give --base"
        )
    said = _read_json(config) if config else {}
    return FoundTokenizer(model, fast, said.get("legacy"))


def write_tokenizer(found: FoundTokenizer, target: Path, rows: int, *, whole: bool) -> Encode:
    """Write the sentencepiece model of a tokenizer to `target`; gives what encodes with it.

    Args:
        found: the tokenizer.
        target: the file.
        rows: of the embedding, one for each piece at least.
        whole: the family is run by transformers' processors, which read `tokenizer.json`; else by
            LLaVA's code, which reads the sentencepiece model.

    Raises:
        CheckpointError: it has more pieces than `rows`; or there is only a `tokenizer.json`, and it
            is no plain LLaMA's; or one that cuts texts otherwise than the model beside it.
    """
    source = _write_model(found, target, whole)
    with needs("training"):
        from sentencepiece import SentencePieceProcessor
    try:
        processor = SentencePieceProcessor(model_file=str(target))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{source}: not a sentencepiece model: {error}") from error
    if processor.get_piece_size() > rows:
        raise CheckpointError(
            f"{source}: {processor.get_piece_size()} pieces, but the embedding has {rows} rows: "
            "the tokenizer belongs to another model"
        )

    def encode(text: str) -> list[int]:
        ids: list[int] = processor.encode(text)
        return ids

    _check_line_end(encode, source)
    if found.fast is not None and (whole or found.model is None):
        _prove(encode, found.fast, _PROOFS if source == found.model else (*_PROOFS, *_RUNS))
    return encode


def _write_model(found: FoundTokenizer, target: Path, whole: bool) -> Path:
    """Copy the model or make it of the other file; gives which one."""
    if found.fast is not None and (whole or found.model is None):
        try:
            target.write_bytes(rebuilt(found.fast))
        except CheckpointError:
            if found.model is None:
                raise
        else:
            return found.fast
    assert found.model is not None
    shutil.copyfile(found.model, target)
    return found.model


def knows_images(found: FoundTokenizer) -> bool:
    """True if its `tokenizer.json` has a token for images, as those of transformers' processors."""
    return found.fast is not None and _fast(found.fast).token_to_id(IMAGE) is not None


def spaces_of(found: FoundTokenizer, encode: Encode, *, whole: bool) -> Spaces:
    """Which texts of a prompt the tokenizer puts a space before.

    Args:
        found: the tokenizer.
        encode: the sentencepiece model as `write_tokenizer` gave it.
        whole: the family encodes whole prompts (transformers' processors); else each chunk
            between images on its own (LLaVA's code).

    Raises:
        CheckpointError: it writes prompts in none of the ways that are known.
    """
    if not whole:
        scheme = _scheme(found.fast) if found.fast is not None else ""
        each = scheme == "always" if scheme else found.legacy is not False
        return "each" if each else "chunks"
    if found.fast is None:
        return "each" if found.legacy else "first"
    theirs, image = _fast_prompt(found.fast)
    for spaces in get_args(Spaces):
        if _our_prompt(encode, spaces, image) == theirs:
            chosen: Spaces = spaces
            return chosen
    raise CheckpointError(
        f"{found.fast}: it cuts a prompt around {IMAGE} in a way that is not known, so answers "
        "would differ; use the tokenizer of the published LLaVA-1.5"
    )


_PROMPT = ("What is this?", "A harbour."), ("And the boats?", None)


def _fast_prompt(path: Path) -> tuple[list[int], int]:
    tokenizer = _fast(path)
    image = tokenizer.token_to_id(IMAGE)
    if image is None:
        raise CheckpointError(f"{path}: there is no token {IMAGE!r} in it; a folder of LLaVA?")
    text = (
        f"A chat. USER: {IMAGE}\n{_PROMPT[0][0]} ASSISTANT: {_PROMPT[0][1]}</s>"
        f"USER: {_PROMPT[1][0]} ASSISTANT:"
    )
    return list(tokenizer.encode(text, add_special_tokens=False).ids), int(image)


def _our_prompt(encode: Encode, spaces: Spaces, image: int) -> list[int]:
    prompt = PromptSpec("vicuna", instructions="llava", system="A chat.", spaces=spaces)
    segments = build_prompt(list(_PROMPT), [(1, 1)], ModelSpec(VisionSpec(1, 1, 1), prompt))
    return [token for segment in segments[1:] for token in _ids(segment, encode, image)]


def _ids(segment: Segment, encode: Encode, image: int) -> list[int]:
    match segment:
        case Text():
            return text_ids(segment, encode)
        case ImageSlot():
            return [image]
        case Control(token=token):
            return [{"unk": 0, "bos": 1, "end": 2}[token]]


def rebuilt(path: Path) -> bytes:
    """The sentencepiece model that a plain LLaMA's `tokenizer.json` was made from.

    Raises:
        CheckpointError: it is no byte-pair encoding with byte fallback, or of another make.
    """
    with needs("training"):
        from sentencepiece import sentencepiece_model_pb2
    values = _read_json(path)
    model = values.get("model", {})
    vocabulary: dict[str, int] = model.get("vocab", {})
    if model.get("type") != "BPE" or not model.get("byte_fallback") or not vocabulary:
        raise _foreign(path, f"model {model.get('type')!r} without byte fallback")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise _foreign(path, "ids with gaps")
    if missing := [piece for piece in _CONTROLS if piece not in vocabulary]:
        raise _foreign(path, f"no piece {missing[0]!r}")
    scores = _scores(path, vocabulary, model.get("merges", []))
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    for piece, _ in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        proto.pieces.add(piece=piece, score=scores.get(piece, 0.0), type=_type(piece))
    trainer, normaliser = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type, trainer.byte_fallback = _BPE, True
    trainer.vocab_size = len(vocabulary)
    trainer.unk_id, trainer.bos_id, trainer.eos_id = (vocabulary[piece] for piece in _CONTROLS)
    trainer.pad_id = -1
    normaliser.name, normaliser.escape_whitespaces = "identity", True
    normaliser.add_dummy_prefix = _scheme(path) != "never"
    normaliser.remove_extra_whitespaces = False
    written: bytes = proto.SerializeToString(deterministic=True)
    return written


def _type(piece: str) -> int:
    if piece in _CONTROLS:
        return _UNKNOWN if piece == "<unk>" else _CONTROL
    return _BYTE if _is_byte(piece) else _NORMAL


def _is_byte(piece: str) -> bool:
    return len(piece) == len("<0x00>") and piece.startswith("<0x") and piece.endswith(">")


def _scores(path: Path, vocabulary: dict[str, int], merges: Sequence[Any]) -> dict[str, float]:
    """Of the pieces: what is merged earlier scores higher."""
    order: list[str] = []
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if not order or order[-1] != left + right:
            order.append(left + right)
    if len(set(order)) != len(order):
        raise _foreign(path, "merges that do not stand piece by piece")
    ranks = {piece: -float(rank) for rank, piece in enumerate(order)}
    for piece in vocabulary:
        plain = len(piece) > 1 and piece not in _CONTROLS and not _is_byte(piece)
        if plain and piece not in ranks:
            raise _foreign(path, f"piece {piece!r}, which nothing is merged into")
    singles = [piece for piece in vocabulary if piece not in ranks]
    return ranks | {piece: -float(len(order) + rank) for rank, piece in enumerate(singles)}


def _scheme(path: Path) -> str:
    """When a space is put before a text: "always", at the "first" one, or "never"."""
    values = _read_json(path)
    before, normaliser = values.get("pre_tokenizer"), values.get("normalizer")
    if before is not None:
        if before.get("type") != "Metaspace" or normaliser is not None or before.get("split"):
            raise _foreign(path, f"pre-tokenizer {before.get('type')!r}")
        return str(before.get("prepend_scheme", "always"))
    parts = [normaliser] if normaliser else []
    if normaliser and normaliser.get("type") == "Sequence":
        parts = list(normaliser.get("normalizers", []))
    kinds = [part.get("type") for part in parts]
    if kinds not in (["Prepend", "Replace"], ["Replace"]):
        raise _foreign(path, f"normaliser {kinds}")
    return "always" if "Prepend" in kinds else "never"


def _prove(encode: Encode, fast: Path, texts: Iterable[str]) -> None:
    tokenizer = _fast(fast)
    for text in texts:
        if encode(text) != list(tokenizer.encode(text, add_special_tokens=False).ids):
            raise _foreign(fast, f"the text {text!r} cut in another way than sentencepiece would")


def _check_line_end(encode: Encode, source: Path) -> None:
    """A line end must be a token of its own: `text_ids` and the template rely on it."""
    line = encode("\n")
    if not line or encode("\na")[: len(line)] != line or encode("\n\n") != [*line, line[-1]]:
        raise CheckpointError(
            f"{source}: this tokenizer joins or drops line ends, which the "
            "prompt needs; it is no LLaMA's"
        )


def _fast(path: Path) -> Any:
    with needs("training"):
        from tokenizers import Tokenizer
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no other kind
        raise CheckpointError(f"{path}: not a usable tokenizer: {error}") from error


def _foreign(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: no plain LLaMA tokenizer ({what}); put the sentencepiece model, {MODEL}, beside "
        "it or into --base"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return values
