from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.evaluation.ptb import caption_tokens
from skyeye_edge.evaluation.words import caption_characters, caption_words

VECTORS = Path(__file__).parents[2] / "data" / "ptb_tokens.jsonl"
WIDEST = 20_000


def vectors() -> list[dict[str, list[str]]]:
    return [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]


def java_tokens(sentences: list[str]) -> list[str]:
    """What pycocoevalcap itself makes of them, with its Java program."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    known = {number: [{"caption": text}] for number, text in enumerate(sentences)}
    return [words for (words,) in PTBTokenizer().tokenize(known).values()]


def strings(value: object) -> Iterator[str]:
    """Every text that stands somewhere in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def test_words_are_those_that_stanfords_program_gave() -> None:
    found = vectors()

    assert len(found) > 500
    assert [each for each in found if caption_tokens(str(each["sentence"])) != each["tokens"]] == []


@pytest.mark.java
def test_every_sentence_of_real_data_has_the_words_of_stanfords_program(shared: Path) -> None:
    files = sorted((shared / "data").rglob("*.json"))
    texts = {text for file in files for text in strings(json.loads(file.read_text("utf-8")))}
    sentences = sorted(text.replace("\n", " ") for text in texts if " " in text)[:WIDEST]

    assert len(sentences) > 15_000
    assert [caption_words(text) for text in sentences] == java_tokens(sentences)


@pytest.mark.java
def test_sentences_of_odd_pieces_have_the_words_of_stanfords_program() -> None:
    chance = random.Random(3)
    pieces = [word for each in vectors() for word in str(each["sentence"]).split()]
    # a word that ends in a full stop is read with what the next sentence begins with
    sentences = [" ".join([*chance.choices(pieces, k=6), "end"]) for _ in range(5_000)]

    assert [caption_words(text) for text in sentences] == java_tokens(sentences)


def test_characters_stand_apart_like_words() -> None:
    assert caption_characters("Two boats .") == "t w o b o a t s"


@given(st.text())
def test_any_text_has_words_without_spaces_around(text: str) -> None:
    assert all(token and token == token.strip(" \n") for token in caption_tokens(text))
