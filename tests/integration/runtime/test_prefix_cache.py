"""What is remembered changes the time of an answer, never one bit of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import BackendError, InputError
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text
from skyeye_edge.core.reply import Reply
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request

Ask = tuple[int, tuple[str, ...]]  # number of the picture, and turns of a conversation

UNSEEN = count()
WORDS = st.sampled_from(["what", "is it a boat", "where " * 24, "{", ""])
CONVERSATIONS = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
ASKS = st.lists(st.tuples(st.integers(0, 5), CONVERSATIONS), min_size=1, max_size=8)


def request(picture: EncodedImage, turns: Sequence[str], max_tokens: int = 5) -> Request:
    segments: list[Segment] = [Control("bos"), Text("look "), ImageSlot(0)]
    for turn in turns:
        segments += [Control("bos"), Text(f"[{turn}]")]
    return Request(tuple(segments), (picture,), max_tokens=max_tokens, keep_logits=True)


def logits(reply: Reply) -> list[bytes]:
    return [row.tobytes() for row in reply.logits or () if row is not None]


@given(asks=ASKS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_do_not_depend_on_what_was_asked_before(
    language: LanguageModel, pictures: list[EncodedImage], asks: list[Ask]
) -> None:
    requests = [request(pictures[number], turns) for number, turns in asks]
    # a picture that nobody has seen stands for an empty memory
    strangers = [
        replace(each, images=(EncodedImage(each.images[0].tokens, b"new %d" % next(UNSEEN)),))
        for each in requests
    ]

    remembered = language.generate(requests)
    fresh = language.generate(strangers)

    assert [reply.ids for reply in remembered] == [reply.ids for reply in fresh]
    assert [logits(reply) for reply in remembered] == [logits(reply) for reply in fresh]


def test_a_second_question_about_a_picture_computes_its_words_only(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    language.generate([request(pictures[0], ["what"])])
    computed, reused = language.cache.computed, language.cache.reused

    language.generate([request(pictures[0], ["where"])])

    assert language.cache.computed - computed == len("<s>[where]") - 2
    assert language.cache.reused - reused == len("<s>look ") - 2 + 20


def test_a_conversation_computes_only_its_new_turn(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    language.generate([request(pictures[0], ["one", "two"])])
    computed = language.cache.computed

    language.generate([request(pictures[0], ["one", "two", "three"])])

    assert language.cache.computed - computed == len("s[three]")


def test_a_question_about_the_same_picture_does_not_cost_a_long_conversation_its_memory(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    long = ["tell me all " * 12, "and"]
    language.generate([request(pictures[0], long)])
    language.generate([request(pictures[0], ["where"])])
    computed = language.cache.computed

    language.generate([request(pictures[0], [*long, "more"])])

    assert language.cache.computed - computed == len("s[more]")


def test_the_picture_that_was_not_asked_about_for_longest_is_forgotten_first(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    for number in (0, 1, 2, 3, 0, 4):  # four are remembered
        language.generate([request(pictures[number], ["what"])])
    reused = language.cache.reused
    language.generate([request(pictures[0], ["what"])])
    kept = language.cache.reused - reused

    language.generate([request(pictures[1], ["what"])])

    words = len("<s>look ") - 2  # the same before every picture, so they are never forgotten
    assert kept == words + 20
    assert language.cache.reused - reused == kept + words


def test_a_request_that_fails_half_way_leaves_no_trace(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    good = request(pictures[0], ["what"])
    expected = language.generate([good])[0]
    narrow = EncodedImage(np.zeros((4, 3), np.float32), b"narrow")
    segments = (*good.segments, ImageSlot(1), Text("x"))

    with pytest.raises(BackendError, match="width is 64"):
        language.generate([replace(good, segments=segments, images=(pictures[0], narrow))])

    assert logits(language.generate([good])[0]) == logits(expected)


def test_a_prompt_that_ends_in_a_picture_is_refused(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    with pytest.raises(InputError, match="must end in text"):
        language.generate([Request((Text("look "), ImageSlot(0)), (pictures[0],))])


def test_questions_about_one_picture_at_once_copy_its_memory(
    language: LanguageModel, pictures: list[EncodedImage]
) -> None:
    asks = [request(pictures[0], [turn]) for turn in ("what", "where", "is it a boat")]
    alone = [language.generate([ask])[0] for ask in asks]
    computed = language.cache.computed

    at_work = [language.admit(replace(ask, max_tokens=5)) for ask in asks]
    prompts = language.cache.computed - computed
    while any(each.reply is None for each in at_work):
        language.step([each for each in at_work if each.reply is None])

    assert prompts <= sum(len(f"s[{turn}]") for turn in ("what", "where", "is it a boat"))
    replies = [each.reply for each in at_work if each.reply is not None]
    assert [logits(reply) for reply in replies] == [logits(reply) for reply in alone]
    assert language.cache.free == 4
