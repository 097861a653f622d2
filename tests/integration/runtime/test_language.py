"""Requests in, replies out: greedy or by chance, freely or under an automaton."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.automaton import task_automaton
from skyeye_edge.core.boxes import BoxSpec, parse_boxes
from skyeye_edge.core.errors import BackendError, ClosedError, InputError
from skyeye_edge.core.prompt import Control, ImageSlot, Text
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Classify, Detect, Ground
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request
from skyeye_edge.runtime.libllama import ContextOptions, has_tiny_blas

SPEC = ModelSpec(VisionSpec(28, 20, 64), boxes=BoxSpec(bins=100))
QUESTION = (Control("bos"), Text("what is it"))


def test_greedy_takes_the_best_token_every_time(language: LanguageModel) -> None:
    reply = language.generate([Request(QUESTION, max_tokens=12, keep_logits=True)])[0]

    best = [int(row.argmax()) for row in reply.logits or () if row is not None]
    assert list(reply.ids) == best[: len(reply.ids)]
    assert all(0 < probability <= 1 for probability in reply.probabilities)


def test_the_same_seed_gives_the_same_words_and_another_one_others(
    language: LanguageModel,
) -> None:
    ask = [Request(QUESTION, max_tokens=20, temperature=2.0, seed=seed) for seed in (1, 1, 2)]

    first, again, other = language.generate(ask)

    assert first.ids == again.ids != other.ids


def test_an_answer_stops_at_its_limit(language: LanguageModel) -> None:
    reply = language.generate([Request(QUESTION, max_tokens=3)])[0]

    assert (len(reply.ids), reply.stopped) == (3, "length")


def test_an_answer_that_was_given_up_leaves_no_trace(language: LanguageModel) -> None:
    ask = Request(QUESTION, max_tokens=12)
    expected = language.generate([ask])[0].ids
    generation = language.admit(ask)
    language.step([generation])

    language.give_up(generation)

    assert language.generate([ask])[0].ids == expected
    assert language.cache.free == 4


def test_an_answer_that_fails_does_not_harm_those_beside_it(language: LanguageModel) -> None:
    ask = Request(QUESTION, max_tokens=12, keep_logits=True)
    expected = language.generate([ask])[0]
    broken, good = language.admit(Request((Text("other"),), max_tokens=9)), language.admit(ask)
    broken.live.length += 1  # a gap, which llama.cpp refuses

    while good.reply is None:
        language.step([each for each in (broken, good) if each.reply is None])

    assert isinstance(broken.reply and broken.reply.failure, BackendError)
    assert good.reply.failure is None
    assert good.reply.ids == expected.ids


def test_an_answer_stops_where_the_context_ends(language: LanguageModel) -> None:
    prompt = (Text("a" * 506),)

    reply = language.generate([Request(prompt, max_tokens=64)])[0]

    assert (len(reply.ids), reply.stopped) == (6, "length")


def test_a_prompt_longer_than_the_context_names_both_numbers(language: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"600 positions, the model.s context 512"):
        language.generate([Request((Text("a" * 600),))])

    assert language.generate([Request(QUESTION, max_tokens=1)])[0].ids


def test_values_that_are_not_finite_are_the_encoders_fault() -> None:
    tokens = np.zeros((20, 64), np.float32)
    tokens[3, 5] = np.nan

    with pytest.raises(BackendError, match="not finite"):
        EncodedImage(tokens, b"key")


@pytest.mark.parametrize(("max_tokens", "temperature"), [(0, 0.0), (5, -1.0), (5, float("nan"))])
def test_a_request_without_sense_is_refused(max_tokens: int, temperature: float) -> None:
    with pytest.raises(InputError, match="at least 1 token"):
        Request(QUESTION, max_tokens=max_tokens, temperature=temperature)


def test_under_the_automaton_even_random_weights_write_a_box(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    automaton = task_automaton(Ground("a boat"), language.vocabulary, SPEC)
    asks = [
        Request((*QUESTION, ImageSlot(0), Text("?")), (picture,), automaton, 48, keep_logits=True)
        for picture in pictures
    ]

    replies = language.generate(asks)

    assert [reply.stopped for reply in replies] == ["end"] * len(pictures)
    assert all(len(parse_boxes(reply.text).corners) == 1 for reply in replies)


def test_forced_tokens_are_certain_and_have_no_logits(language: LanguageModel) -> None:
    automaton = task_automaton(Detect("car"), language.vocabulary, SPEC)

    reply = language.generate([Request(QUESTION, (), automaton, 11, keep_logits=True)])[0]

    assert reply.text.startswith("<p>car</p> {<"[:11])
    assert (reply.free, reply.probabilities) == ((False,) * 11, (1.0,) * 11)
    assert reply.logits == (None,) * 11


def test_logits_under_the_automaton_are_those_of_allowed_tokens(language: LanguageModel) -> None:
    automaton = task_automaton(Classify(("cat", "dog")), language.vocabulary, SPEC)
    assert automaton is not None

    reply = language.generate([Request(QUESTION, (), automaton, 8, keep_logits=True)])[0]

    assert reply.text in ("cat", "dog")
    assert reply.free == (True, False, False)
    first, *rest = reply.logits or ()
    assert first is not None
    assert set(np.flatnonzero(np.isfinite(first))) == set(automaton.start().allowed())
    assert rest == [None, None, None]  # the end was forced too


def test_a_closed_language_model_says_so(language: LanguageModel) -> None:
    language.close()
    language.close()

    with pytest.raises(ClosedError):
        language.generate([Request(QUESTION)])


@pytest.fixture
def drafting(q8_gguf: Path) -> Iterator[LanguageModel]:
    """A language model that guesses; its llama.cpp must not round runs otherwise than tokens."""
    if has_tiny_blas():
        pytest.skip("this llama.cpp was built with LLAMAFILE, where drafts are switched off")
    opened = LanguageModel(q8_gguf, ContextOptions(length=512))
    yield opened
    opened.close()


def test_an_answer_that_repeats_takes_fewer_steps_and_the_same_bits(
    drafting: LanguageModel,
) -> None:
    ask = Request(QUESTION, max_tokens=24, keep_logits=True)
    first, steps = answered(drafting, ask)

    again, fewer = answered(drafting, ask)

    assert again.ids == first.ids
    assert [row.tobytes() for row in again.logits or () if row is not None] == [
        row.tobytes() for row in first.logits or () if row is not None
    ]
    assert fewer < steps / 1.5


def test_wrong_guesses_leave_no_trace(drafting: LanguageModel) -> None:
    ask = Request(QUESTION, max_tokens=24, keep_logits=True)
    expected, _ = answered(drafting, ask)
    generation = drafting.admit(ask)
    generation._drafts.learn([7] * 24)

    while generation.reply is None:
        drafting.step([generation])

    assert generation.reply.ids == expected.ids
    after, _ = answered(drafting, ask)
    assert after.ids == expected.ids


def test_chance_meets_the_same_words_with_and_without_guesses(drafting: LanguageModel) -> None:
    ask = Request(QUESTION, max_tokens=24, temperature=2.0, seed=3)

    assert answered(drafting, ask)[0].ids == answered(drafting, ask)[0].ids


def answered(language: LanguageModel, ask: Request) -> tuple[Reply, int]:
    """The reply, and how many steps it took."""
    generation, steps = language.admit(ask), 0
    while generation.reply is None:
        language.step([generation])
        steps += 1
    return generation.reply, steps
