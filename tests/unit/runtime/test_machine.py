"""How many threads a model takes where nobody says so."""

from __future__ import annotations

import os
import platform

import pytest

from skyeye_edge.runtime.machine import cores, versions
from skyeye_edge.runtime.model import _default_threads


def test_versions_name_what_is_installed_and_leave_out_the_rest() -> None:
    found = versions()

    assert found["python"] == platform.python_version()
    assert "numpy" in found
    assert all(found.values())


@pytest.mark.parametrize(
    ("available", "weights", "threads"),
    [
        pytest.param({0, 1}, 4_000_000, 1, id="small model on two cores"),
        pytest.param(set(range(8)), 4_000_000, 1, id="small model on eight cores"),
        pytest.param(set(range(8)), 4_000_000_000, 7, id="large model leaves a core free"),
        pytest.param({0}, 4_000_000_000, 1, id="large model on one core"),
    ],
)
def test_a_core_stays_free_and_small_models_take_one_thread(
    monkeypatch: pytest.MonkeyPatch, available: set[int], weights: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: available)

    assert cores() == len(available)
    assert _default_threads(weights, large=256 * 2**20) == threads
