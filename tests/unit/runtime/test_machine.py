"""How many threads a model takes where nobody says so."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

import pytest

from skyeye_edge.runtime import machine
from skyeye_edge.runtime.machine import cores, quota, versions
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
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    available: set[int],
    weights: int,
    threads: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: available)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)

    assert cores() == len(available)
    assert _default_threads(weights, large=256 * 2**20) == threads


@pytest.mark.parametrize(
    ("files", "worth"),
    [
        pytest.param({"cpu.max": "150000 100000\n"}, 1.5, id="cgroup 2"),
        pytest.param({"cpu.max": "max 100000\n"}, math.inf, id="cgroup 2 without a limit"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            4.0,
            id="cgroup 1",
        ),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            math.inf,
            id="cgroup 1 without a limit",
        ),
        pytest.param({}, math.inf, id="no cgroup"),
        pytest.param({"cpu.max": "what\n"}, math.inf, id="unreadable"),
    ],
)
def test_a_container_s_share_of_time_is_counted_in_cores(
    files: dict[str, str], worth: float, tmp_path: Path
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert quota(tmp_path) == worth


def test_a_container_with_little_time_still_has_a_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)

    assert cores() == 1
