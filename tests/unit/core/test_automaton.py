"""Answers under the automaton are well formed, with any tokenizer, and every good answer fits."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.automaton import Automaton, State, Vocabulary, task_automaton
from skyeye_edge.core.boxes import BoxSpec, is_box, parse_boxes
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify

ABSENT = "not in the image"
CONTROLS: list[bytes | None] = [None, None, None]  # unknown, begin, end
BYTES: list[bytes | None] = [bytes([byte]) for byte in range(256)]
CHARACTERS: list[bytes | None] = [
    character.encode() for character in "{}<>/0123456789 abcdeilmnotghp"
]
LLAMA: list[bytes | None] = [
    b" {",
    b"><",
    b"</",
    b"></",
    b"del",
    b"im",
    b" not",
    b" in",
    b"p>",
    b" <",
]
WHOLE: list[bytes | None] = [f"<{step}>".encode() for step in range(101)]
SPANNING: list[bytes | None] = [b"><1", b"<2", b"3><", b"4>}", b"}<delim>{<"]


def vocabulary(*parts: list[bytes | None], dummy_prefix: bool) -> Vocabulary:
    """A tokenizer that takes the longest piece that fits; characters come after bytes."""
    pieces = tuple(piece for part in (CONTROLS, *parts) for piece in part)
    ids = {piece: token for token, piece in enumerate(pieces) if piece}

    def encode(text: str) -> list[int]:
        rest = (" " * dummy_prefix + text).encode()
        found = []
        while rest:
            piece = max((p for p in ids if rest.startswith(p)), key=len)
            found.append(ids[piece])
            rest = rest[len(piece) :]
        return found

    return Vocabulary(pieces, 2, encode)


VOCABULARIES = {
    "digits": vocabulary(BYTES, CHARACTERS, LLAMA, dummy_prefix=True),
    "whole numbers": vocabulary(WHOLE, BYTES, CHARACTERS, dummy_prefix=False),
    "pieces over two numbers": vocabulary(BYTES, CHARACTERS, SPANNING, dummy_prefix=False),
}
names = st.sampled_from(sorted(VOCABULARIES))


def model(bins: int = 100, absent: str = ABSENT, min_size: int = 0) -> ModelSpec:
    boxes = BoxSpec(bins=bins, absent=absent, min_size=min_size)
    return ModelSpec(VisionSpec(112, 16, 256), boxes=boxes)


def automaton_of(task: Any, words: Vocabulary, spec: ModelSpec) -> Automaton:
    automaton = task_automaton(task, words, spec)
    assert automaton is not None
    return automaton


def walk(automaton: Automaton, words: Vocabulary, seed: int) -> Iterator[tuple[State, int]]:
    """States and tokens of an answer made at random; it ends soon once it may."""
    choose = random.Random(seed)
    state = automaton.start()
    for _ in range(400):
        allowed = [int(token) for token in state.allowed()]
        end_now = words.end in allowed and choose.random() < 0.4
        token = words.end if end_now else choose.choice(allowed)
        yield state, token
        if token == words.end:
            return
        state = state.advance(token)


def text_of(automaton: Automaton, words: Vocabulary, seed: int) -> str:
    *tokens, end = [token for _, token in walk(automaton, words, seed)]
    assert end == words.end
    return b"".join(words.pieces[token] or b"?" for token in tokens).decode()


def after(automaton: Automaton, text: str, words: Vocabulary) -> State:
    state = automaton.start()
    for byte in text.encode():
        state = state.advance(words.pieces.index(bytes([byte])))
    return state


def shown(state: State, words: Vocabulary) -> set[bytes | None]:
    return {words.pieces[token] for token in state.allowed()}


@settings(max_examples=150, deadline=None)
@given(
    name=names, bins=st.sampled_from([7, 100, 1000]), absent=st.sampled_from(["", ABSENT]),
    min_size=st.integers(0, 3), seed=st.integers(0, 10**9),
)  # fmt: skip
def test_every_grounding_is_a_box_or_absent(
    name: str, bins: int, absent: str, min_size: int, seed: int
) -> None:
    words, spec = VOCABULARIES[name], model(bins, absent, min_size)

    text = text_of(automaton_of(Ground("a boat"), words, spec), words, seed)

    said = text.removeprefix(" " * words.dummy_prefix)
    parsed = parse_boxes(said)
    is_one_box = len(parsed.corners) == 1 and re.fullmatch(r"\{(<(0|[1-9]\d*)>){4}\}", said)
    assert (absent and said == absent) or (is_one_box and is_box(parsed.corners[0], spec.boxes))


@settings(max_examples=150, deadline=None)
@given(
    name=names, bins=st.sampled_from([7, 100]), absent=st.sampled_from(["", ABSENT]),
    target=st.sampled_from(["a", "big <0> hall", "é", "été </p"]), min_size=st.integers(0, 3),
    seed=st.integers(0, 10**9),
)  # fmt: skip
def test_every_detection_names_the_object_and_its_boxes(
    name: str, bins: int, absent: str, target: str, min_size: int, seed: int
) -> None:
    words, spec = VOCABULARIES[name], model(bins, absent, min_size)

    text = text_of(automaton_of(Detect(target), words, spec), words, seed)

    said = text.removeprefix(" " * words.dummy_prefix)
    body = said.removeprefix(f"<p>{target}</p> ")
    box = r"\{(<(0|[1-9]\d*)>){4}\}"
    assert (absent and said == absent) or (
        body != said
        and re.fullmatch(rf"{box}(<delim>{box})*", body)
        and all(is_box(corners, spec.boxes) for corners in parse_boxes(body).corners)
    )


@settings(max_examples=100, deadline=None)
@given(
    name=names,
    classes=st.lists(st.text("ab é", min_size=1).filter(str.strip), min_size=1, unique=True),
    seed=st.integers(0, 10**9),
)
def test_every_classification_is_one_of_the_names(name: str, classes: list[str], seed: int) -> None:
    words = VOCABULARIES[name]
    automaton = automaton_of(Classify(tuple(classes)), words, model())

    text = text_of(automaton, words, seed)

    assert text in {space + label for label in classes for space in ("", " ")}


def good_answers(bins: int, min_size: int) -> list[bytes]:
    """All groundings there are, spelt out."""
    edges = product(range(bins + 1), repeat=2)
    pairs = [(low, high) for low, high in edges if low + min_size <= high]
    boxes = [f"{{<{x1}><{y1}><{x2}><{y2}>}}" for (x1, x2), (y1, y2) in product(pairs, pairs)]
    return [answer.encode() for answer in [*boxes, ABSENT]]


@pytest.fixture(scope="module")
def beginnings() -> dict[int, set[bytes]]:
    """Every text that some grounding with 12 bins begins with, by least size."""
    return {
        size: {answer[:end] for answer in good_answers(12, size) for end in range(len(answer) + 1)}
        for size in (0, 1, 3)
    }


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["whole numbers", "pieces over two numbers"]),
    min_size=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 10**9),
)
def test_a_token_is_allowed_exactly_if_a_good_answer_goes_on_with_it(
    beginnings: dict[int, set[bytes]], name: str, min_size: int, seed: int
) -> None:
    words, spec = VOCABULARIES[name], model(12, ABSENT, min_size)
    path = list(walk(automaton_of(Ground("a boat"), words, spec), words, seed))
    state, _ = path[seed % len(path)]
    text = b"".join(words.pieces[token] or b"" for _, token in path[: seed % len(path)])

    texts = {words.pieces[token] for token in state.allowed() if token != words.end}

    fitting = {piece for piece in words.pieces if piece and text + piece in beginnings[min_size]}
    assert texts == fitting
    assert (words.end in state.allowed()) == (text.endswith(b"}") or text == ABSENT.encode())


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        pytest.param("{<", set(b"0123456789"), id="any first digit"),
        pytest.param("{<0", set(b">"), id="no leading zero"),
        pytest.param("{<1", set(b"0123456789>"), id="one or two digits more"),
        pytest.param("{<10", set(b"0>"), id="only 100 has three digits"),
        pytest.param("{<57><3><", set(b"56789") | set(b"1"), id="x2 from 57 on, or 100"),
        pytest.param("{<57><3><5", set(b"789"), id="5 alone is left of 57"),
        pytest.param("{<57><3><57><", set(b"3456789") | set(b"12"), id="y2 from 3 on"),
        pytest.param("{<100><3><1", set(b"0"), id="x2 can only be 100"),
    ],
)
def test_digits_follow_the_corner_before(text: str, pieces: set[int]) -> None:
    words = vocabulary(CHARACTERS, dummy_prefix=False)

    state = after(automaton_of(Ground("a boat"), words, model()), text, words)

    assert shown(state, words) == {bytes([piece]) for piece in pieces}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        pytest.param("{<9", set(b"0123456789>"), id="99 is the last left edge"),
        pytest.param("{<10", set(b">"), id="100 leaves no room for a right edge"),
        pytest.param("{<57><3><5", set(b"89"), id="57 itself is no right edge"),
        pytest.param("{<99><3><1", set(b"0"), id="the right edge can only be 100"),
        pytest.param("{<57><3><60><", set(b"456789123"), id="y2 from 4 on"),
    ],
)
def test_a_box_has_an_area_where_the_model_says_so(text: str, pieces: set[int]) -> None:
    words = vocabulary(CHARACTERS, dummy_prefix=False)

    state = after(automaton_of(Ground("a boat"), words, model(min_size=1)), text, words)

    assert shown(state, words) == {bytes([piece]) for piece in pieces}


def test_whole_numbers_leave_room_for_an_area() -> None:
    words = VOCABULARIES["whole numbers"]
    state = automaton_of(Ground("a boat"), words, model(min_size=1)).start()
    state = state.advance(words.pieces.index(b"{"))

    left = {piece for piece in shown(state, words) if piece and piece.endswith(b">")}
    for text in (b"<57>", b"<3>"):
        state = state.advance(words.pieces.index(text))
    right = {piece for piece in shown(state, words) if piece and piece.endswith(b">")}

    assert left == {f"<{step}>".encode() for step in range(100)}
    assert right == {f"<{step}>".encode() for step in range(58, 101)}


def test_whole_numbers_follow_the_corner_before() -> None:
    words = VOCABULARIES["whole numbers"]
    state = automaton_of(Ground("a boat"), words, model()).start()
    for text in (b"{", b"<57>", b"<3>"):
        state = state.advance(words.pieces.index(text))

    numbers = {piece for piece in shown(state, words) if piece and piece.endswith(b">")}

    assert numbers == {f"<{step}>".encode() for step in range(57, 101)}


def test_a_space_may_come_first_only_where_the_tokenizer_puts_one() -> None:
    with_space, without = VOCABULARIES["digits"], VOCABULARIES["whole numbers"]

    first = automaton_of(Ground("a boat"), with_space, model()).start()
    other = automaton_of(Ground("a boat"), without, model()).start()

    assert shown(first, with_space) == {b"{", b" {", b" ", b"n", b" not"}
    assert shown(other, without) == {b"{", b"n"}


def test_a_model_that_never_learnt_absent_cannot_say_it() -> None:
    words = VOCABULARIES["whole numbers"]

    state = automaton_of(Ground("a boat"), words, model(absent="")).start()

    assert shown(state, words) == {b"{"}


def test_without_absent_the_name_is_written_as_the_tokenizer_writes_it() -> None:
    words = VOCABULARIES["digits"]
    state = automaton_of(Detect("tin"), words, model(absent="")).start()

    forced = []
    while len(state.allowed()) == 1:
        forced.append(int(state.allowed()[0]))
        state = state.advance(forced[-1])

    assert forced == words.encode("<p>tin</p>")
    assert shown(state, words) == {b" ", b" {"}


def test_a_character_and_its_fallback_byte_are_no_choice() -> None:
    words = VOCABULARIES["whole numbers"]

    start = automaton_of(Ground("a boat"), words, model(absent="")).start().allowed()

    assert list(start) == words.encode("{")


def test_a_user_defined_character_before_the_bytes_is_the_one_that_is_written() -> None:
    words = Vocabulary((None, None, None, b"{", *BYTES), 2, lambda _: [3])

    texts, tokens = words.sorted_pieces

    assert tokens[texts.index(b"{")] == 3


def test_a_name_that_begins_another_can_end_or_go_on() -> None:
    words = VOCABULARIES["whole numbers"]
    task = Classify(("pond", "pond in the hill"))

    state = after(automaton_of(task, words, model()), "pond", words)

    assert shown(state, words) == {None, b" "}


def test_a_name_that_the_tokenizer_cannot_write_is_an_error() -> None:
    words = vocabulary(CHARACTERS, dummy_prefix=False)
    state = automaton_of(Classify(("Zürich",)), words, model()).start()

    with pytest.raises(InputError, match="cannot write"):
        state.allowed()


@pytest.mark.parametrize("task", [Caption(), Describe(), Identify((0, 0, 1, 1)), Ask("why?")])
def test_free_text_has_no_automaton(task: Any) -> None:
    assert task_automaton(task, VOCABULARIES["digits"], model()) is None


def test_a_token_that_is_not_allowed_is_refused() -> None:
    words = VOCABULARIES["digits"]
    state = automaton_of(Ground("a boat"), words, model()).start()

    with pytest.raises(KeyError):
        state.advance(words.pieces.index(b"}"))
    with pytest.raises(KeyError):
        state.advance(words.end)


def test_a_forced_token_cannot_be_passed_over() -> None:
    words = VOCABULARIES["digits"]
    state = automaton_of(Detect("tin"), words, model(absent="")).start()

    with pytest.raises(KeyError):
        state.advance(words.pieces.index(b"{"))


def test_answers_of_one_shape_share_one_automaton() -> None:
    words = VOCABULARIES["digits"]

    first = task_automaton(Ground("a boat"), words, model())

    assert task_automaton(Ground("a car"), words, model()) is first
    assert task_automaton(Ground("a boat"), words, model(bins=1000)) is not first


def test_allowed_tokens_are_sorted_and_read_only() -> None:
    words = VOCABULARIES["whole numbers"]
    allowed = after(automaton_of(Ground("a"), words, model()), "{<5", words).allowed()

    assert allowed.dtype == np.int64
    assert list(allowed) == sorted(allowed)
    assert not allowed.flags.writeable


def test_two_bins_settings_do_not_share_what_they_remember() -> None:
    words = VOCABULARIES["digits"]

    few = after(automaton_of(Ground("a"), words, model(bins=100)), "{<10", words)
    many = after(automaton_of(Ground("a"), words, model(bins=1000)), "{<10", words)

    assert len(few.allowed()) < len(many.allowed())
