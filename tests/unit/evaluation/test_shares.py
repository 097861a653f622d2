from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.evaluation.shares import Share, share


@pytest.mark.parametrize(
    ("hits", "number", "low", "high"),
    [
        # Newcombe 1998, table I, method 3
        pytest.param(81, 263, 0.2553, 0.3662, id="81 of 263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15 of 148"),
        pytest.param(0, 20, 0.0, 0.1611, id="0 of 20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1 of 29"),
    ],
)
def test_the_interval_is_wilsons(hits: int, number: int, low: float, high: float) -> None:
    assert Share(hits, number).interval == pytest.approx((low, high), abs=5e-5)


@given(hits=st.integers(0, 50), misses=st.integers(0, 50))
def test_the_rate_lies_in_its_interval(hits: int, misses: int) -> None:
    found = Share(hits, hits + misses)

    low, high = found.interval

    assert 0 <= low <= high <= 1
    assert math.isnan(found.rate) or low - 1e-9 <= found.rate <= high + 1e-9


def test_nothing_asked_has_no_rate() -> None:
    assert Share(0, 0).to_json() == {"rate": None, "n": 0, "interval": [0.0, 1.0]}


def test_hits_are_counted() -> None:
    assert share(iter([True, False, True])) == Share(2, 3)
