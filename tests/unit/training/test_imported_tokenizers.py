"""A tokenizer of others is copied or rebuilt, and cuts texts as theirs does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")

from skyeye_edge.core.errors import CheckpointError  # noqa: E402
from skyeye_edge.training.importing.tokenizer import (  # noqa: E402
    find_tokenizer,
    knows_images,
    rebuilt,
    spaces_of,
    write_tokenizer,
)

ROWS = 4000
CORPUS = [
    f"{many} {colour} {thing} lie near a {place}, {number} m away."
    for many in ("many", "some", "two", "several")
    for colour in ("white", "green", "red")
    for thing in ("planes", "buildings", "boats", "storage tanks")
    for place in ("river", "road", "harbour")
    for number in (12, 305, 4780)
]
TEXTS = ("two  white boats", "a\n\nroad", "дом 🚁", "{<1><2>|<3>}", "[0.12, 0.30]", "x   y ")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small sentencepiece model of LLaMA's kind."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=written, model_type="bpe", vocab_size=460,
        byte_fallback=True, hard_vocab_limit=False, split_digits=True, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    return folder


@pytest.fixture(scope="module")
def fast(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as transformers saves it for a LLaVA: `tokenizer.json` alone."""
    tokenizer = transformers.LlamaTokenizer.from_pretrained(str(model))
    tokenizer.add_tokens(["<image>", "<pad>"], special_tokens=True)
    folder = tmp_path_factory.mktemp("fast")
    tokenizer.save_pretrained(folder)
    return folder


def changed(fast: Path, target: Path, **parts: Any) -> Path:
    """A copy of the folder with other parts of `tokenizer.json`."""
    values = json.loads((fast / "tokenizer.json").read_text("utf-8"))
    target.mkdir()
    (target / "tokenizer.json").write_text(json.dumps(values | parts), "utf-8")
    return target


@pytest.mark.parametrize("text", TEXTS)
def test_a_rebuilt_tokenizer_cuts_texts_as_the_original(
    fast: Path, tmp_path: Path, text: str
) -> None:
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(fast / "tokenizer.json"))

    encode = write_tokenizer(find_tokenizer([fast]), tmp_path / "made.model", ROWS, whole=True)

    assert encode(text) == theirs.encode(text, add_special_tokens=False)


def test_the_sentencepiece_model_is_taken_as_it_is(model: Path, tmp_path: Path) -> None:
    write_tokenizer(find_tokenizer([None, model]), tmp_path / "made.model", ROWS, whole=False)

    made = (tmp_path / "made.model").read_bytes()
    assert made == (model / "tokenizer.model").read_bytes()


PREPEND = {
    "pre_tokenizer": None,
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    },
}


@pytest.mark.parametrize(
    ("parts", "spaces"),
    [
        pytest.param({}, "first", id="as transformers 5 saves it"),
        pytest.param(PREPEND, "each", id="as llava-1.5-7b-hf was published"),
    ],
)
def test_where_a_fast_tokenizer_puts_spaces_is_found_out(
    fast: Path, tmp_path: Path, parts: Any, spaces: str
) -> None:
    found = find_tokenizer([changed(fast, tmp_path / "folder", **parts)])

    encode = write_tokenizer(found, tmp_path / "made.model", ROWS, whole=True)

    assert spaces_of(found, encode, whole=True) == spaces


@pytest.mark.parametrize(("legacy", "spaces"), [(None, "each"), (True, "each"), (False, "chunks")])
def test_llavas_code_encodes_chunk_by_chunk(
    model: Path, tmp_path: Path, legacy: bool | None, spaces: str
) -> None:
    (tmp_path / "tokenizer.model").write_bytes((model / "tokenizer.model").read_bytes())
    said = {} if legacy is None else {"legacy": legacy}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    found = find_tokenizer([tmp_path])

    encode = write_tokenizer(found, tmp_path / "made.model", ROWS, whole=False)

    assert spaces_of(found, encode, whole=False) == spaces


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        pytest.param({"model": {"type": "Unigram"}}, "Unigram", id="another model"),
        pytest.param(
            {"normalizer": {"type": "NFC"}, "pre_tokenizer": None}, "NFC", id="normaliser"
        ),
        pytest.param({"pre_tokenizer": {"type": "Whitespace"}}, "Whitespace", id="pre-tokenizer"),
    ],
)
def test_a_tokenizer_of_another_make_is_refused(
    fast: Path, tmp_path: Path, parts: Any, words: str
) -> None:
    folder = changed(fast, tmp_path / "folder", **parts)

    with pytest.raises(CheckpointError, match=words):
        rebuilt(folder / "tokenizer.json")


def test_a_tokenizer_with_more_pieces_than_rows_is_refused(fast: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="belongs to another model"):
        write_tokenizer(find_tokenizer([fast]), tmp_path / "made.model", 100, whole=True)


def test_a_tokenizer_that_knows_images_belongs_to_transformers_processor(
    model: Path, fast: Path
) -> None:
    assert knows_images(find_tokenizer([fast]))
    assert not knows_images(find_tokenizer([model]))


def test_without_a_tokenizer_the_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer\.model"):
        find_tokenizer([tmp_path, None])
