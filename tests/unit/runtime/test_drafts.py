"""Guesses from earlier answers: right where answers repeat, few where they do not."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.runtime.drafts import DraftBook, Drafts

ANSWER = (5, 6, 7, 8, 9)


def test_an_answer_is_guessed_to_go_like_the_last_one() -> None:
    drafts = Drafts()
    drafts.learn((1, 2, 3))
    drafts.learn(ANSWER)

    assert list(drafts.guess((), 3)) == [5, 6, 7]
    assert list(drafts.guess((5, 6), 99)) == [7, 8, 9]
    assert list(drafts.guess(ANSWER, 4)) == []


def test_where_it_differs_the_guess_goes_on_behind_the_same_pair_of_words() -> None:
    drafts = Drafts()
    drafts.learn(ANSWER)

    assert list(drafts.guess((1, 1, 1, 6, 7), 4)) == [8, 9]
    assert list(drafts.guess((1, 1, 1), 4)) == []


def test_a_question_that_was_never_asked_has_no_guess() -> None:
    assert list(Drafts().guess((), 4)) == []


def test_guesses_that_fail_stop_and_are_tried_again_now_and_then() -> None:
    drafts = Drafts()
    drafts.learn(ANSWER)
    for _ in range(10):
        drafts.count(4, 0)

    guesses = [len(drafts.guess((), 4)) for _ in range(64)]

    assert set(guesses) == {0, 1}
    assert sum(guesses) == 4


def test_guesses_grow_with_their_success() -> None:
    drafts = Drafts()
    drafts.learn(tuple(range(100)))
    lengths = []
    for accepted in (0, 0, 4, 4, 4):
        drafts.count(4, accepted)
        lengths.append(len(drafts.guess((), 50)))

    assert lengths[:2] == sorted(lengths[:2], reverse=True)
    assert lengths[2:] == sorted(lengths[2:])
    assert lengths[-1] > lengths[0]


@given(st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=8), st.integers(0, 9))
def test_a_guess_is_what_once_followed(answers: Sequence[Sequence[int]], limit: int) -> None:
    drafts = Drafts()
    for answer in answers:
        drafts.learn(answer)

    for answer in answers:
        for place in range(len(answer) + 1):
            guess = list(drafts.guess(answer[:place], limit))
            assert len(guess) <= limit
            ends = [list(a[i : i + len(guess)]) for a in answers for i in range(len(a) + 1)]
            assert guess in ends


def test_a_question_that_was_not_asked_for_longest_is_forgotten_first() -> None:
    book = DraftBook()
    book.about("kept").learn(ANSWER)
    for number in range(63):
        book.about(number)
    book.about("kept")
    book.about("one more")

    assert list(book.about("kept").guess((), 1)) == [5]
    assert book.about(0) is not None
