from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.training.data.mixture import Mixture, Part

PARTS = st.lists(
    st.builds(Part, st.integers(1, 30), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0, 7])),
    min_size=1,
    max_size=3,
)


def mixture(
    *parts: Part, batch: int = 4, by_epochs: bool = True, one_set: bool = False, key: str = "k"
) -> Mixture:
    return Mixture(parts, key=key, batch=batch, by_epochs=by_epochs, one_set=one_set)


def order(made: Mixture, numbers: Sequence[int]) -> list[tuple[int, int]]:
    return [next(made.places(number, random.Random(f"own {number}"))) for number in numbers]


def test_an_epoch_shows_every_image_once() -> None:
    made = mixture(Part(5, 1.0), Part(8, 1.0))

    first = order(made, range(13))
    second = order(made, range(13, 26))

    every = {(0, image) for image in range(5)} | {(1, image) for image in range(8)}
    assert (len(first), set(first), set(second)) == (13, every, every)
    assert first != second


def test_a_capped_set_shows_others_in_every_epoch_until_all_were_seen() -> None:
    made = mixture(Part(1000, 1.0, cap=250), Part(50, 1.0))

    drawn = order(made, range(4 * made.epoch_length()))

    assert made.epoch_length() == 300
    assert Counter(number for number, _ in drawn) == {0: 1000, 1: 200}
    assert set(Counter(place for place in drawn if place[0] == 0).values()) == {1}


def test_a_ratio_says_how_often_an_epoch_shows_a_set() -> None:
    made = mixture(Part(10, 3.0), Part(10, 0.5), Part(10, 0.0))

    drawn = order(made, range(made.epoch_length()))

    assert Counter(number for number, _ in drawn) == {0: 30, 1: 5}
    assert set(Counter(place for place in drawn if place[0] == 0).values()) == {3}


@pytest.mark.parametrize("by_epochs", [True, False])
def test_a_batch_may_be_of_one_set(by_epochs: bool) -> None:
    made = mixture(Part(10, 1.0), Part(31, 1.0), by_epochs=by_epochs, one_set=True)

    drawn = [number for number, _ in order(made, range(80))]

    assert {len(set(drawn[first : first + 4])) for first in range(0, 80, 4)} == {1}
    assert set(drawn) == {0, 1}


def test_what_stands_in_for_an_image_is_of_its_set() -> None:
    made = mixture(Part(9, 1.0), Part(9, 1.0))

    tried = [list(islice(made.places(n, random.Random(n)), 20)) for n in range(18)]

    assert all(len({number for number, _ in places}) == 1 for places in tried)
    assert all(len(set(places)) > 1 for places in tried)


@given(parts=PARTS, one_set=st.booleans(), by_epochs=st.booleans())
def test_the_order_does_not_hang_on_what_was_asked_before(
    parts: list[Part], one_set: bool, by_epochs: bool
) -> None:
    first = mixture(*parts, one_set=one_set, by_epochs=by_epochs)
    second = mixture(*parts, one_set=one_set, by_epochs=by_epochs)
    numbers = range(3 * first.epoch_length())

    assert order(first, numbers) == order(second, numbers[::-1])[::-1]
    assert all(place < parts[number].size for number, place in order(first, numbers))
