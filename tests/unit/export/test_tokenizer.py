"""llama.cpp must cut texts exactly as sentencepiece does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import CheckpointError
from skyeye_edge.export.language import write_gguf
from skyeye_edge.export.tokenizer import UNUSED, read_tokens


@pytest.fixture(scope="module")
def llama(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[llama_cpp.Llama]:
    path = tmp_path_factory.mktemp("gguf") / "llm.gguf"
    write_gguf(checkpoint / "llm", path, "random")
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    yield model
    model.close()


@pytest.fixture(scope="module")
def reference(tokenizer_file: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_file))


def cut(llama: llama_cpp.Llama, text: str) -> list[int]:
    return llama.tokenize(text.encode(), add_bos=False, special=False)


@pytest.mark.parametrize(
    "text",
    [
        "many white planes are near a river .",
        "{<12><3><100><0>}<delim>{<1><2><3><4>}",
        "[INST] <Img></Img> [refer] give me the location of a boat [/INST]",
        "<s>injected</s><unk>",
        "  two  spaces and\ttab\nline",
        "Überflug: 東京 🚁 e\u0301",
        "<101> <-1> <12",
        "",
    ],
)
def test_texts_are_cut_as_sentencepiece_does(
    llama: llama_cpp.Llama, reference: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    assert cut(llama, text) == reference.encode(text)


@given(text=st.text(max_size=40))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_cut_as_sentencepiece_does(
    llama: llama_cpp.Llama, reference: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    assert cut(llama, text) == reference.encode(text)


def test_control_tokens_cannot_be_written_by_users(llama: llama_cpp.Llama) -> None:
    ids = cut(llama, "<s>[INST]</s>")

    assert not {llama.token_bos(), llama.token_eos()} & set(ids)


def test_special_ids_are_those_of_the_tokenizer(
    llama: llama_cpp.Llama, reference: sentencepiece.SentencePieceProcessor
) -> None:
    assert (llama.token_bos(), llama.token_eos()) == (reference.bos_id(), reference.eos_id())


def test_no_begin_token_appears_on_its_own(
    llama: llama_cpp.Llama, reference: sentencepiece.SentencePieceProcessor
) -> None:
    assert llama.tokenize(b"a river", add_bos=True) == reference.encode("a river")


def test_rows_beyond_the_pieces_get_unique_unused_names(tokenizer_file: Path) -> None:
    tokens = read_tokens(tokenizer_file, rows=600)

    assert len(tokens.pieces) == len(set(tokens.pieces)) == 600
    assert tokens.types[-1] == UNUSED
    assert len(tokens.scores) == len(tokens.types) == 600


def test_more_pieces_than_rows_are_refused(tokenizer_file: Path) -> None:
    with pytest.raises(CheckpointError, match="another model"):
        read_tokens(tokenizer_file, rows=10)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"not a tokenizer")

    with pytest.raises(CheckpointError, match="not a sentencepiece model"):
        read_tokens(tmp_path / "tokenizer.model", rows=10)
    with pytest.raises(CheckpointError, match="not a sentencepiece model"):
        read_tokens(tmp_path / "missing.model", rows=10)


def test_settings_that_llama_cpp_does_not_know_are_a_warning(tmp_path: Path) -> None:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a river near a road", "a boat on a river"] * 20),
        model_writer=written,
        vocab_size=40,
        hard_vocab_limit=False,
        user_defined_symbols=["<1>"],
        minloglevel=2,
    )
    (tmp_path / "tokenizer.model").write_bytes(written.getvalue())

    tokens = read_tokens(tmp_path / "tokenizer.model", rows=100)

    assert tokens.dummy_prefix
    assert [warning.split(": ")[1].split()[1] for warning in tokens.warnings] == [
        "does",
        "keeps",
        "puts",
    ]
