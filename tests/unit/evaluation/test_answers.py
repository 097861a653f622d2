from __future__ import annotations

import pytest

from skyeye_edge.evaluation.answers import plain_answer


@pytest.mark.parametrize(
    ("said", "right", "alike"),
    [
        pytest.param("Yes.", "yes", True, id="a capital and a full stop"),
        pytest.param("A  pier", "a pier", True, id="a doubled space"),
        pytest.param("a pier and a boat", "a pier", False, id="a part is not right"),
        pytest.param("3", "2", False, id="another number"),
    ],
)
def test_answers_are_compared_without_case_and_full_stop(
    said: str, right: str, alike: bool
) -> None:
    assert (plain_answer(said) == plain_answer(right)) is alike
