"""Threads are measured once for a machine and a model; no result depends on them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import skyeye_edge as sky
from skyeye_edge.runtime import machine
from skyeye_edge.runtime.libllama import ContextOptions, LlamaContext, LlamaModel, Threads, Tokens
from skyeye_edge.runtime.threads import chosen_threads, fastest, free_cores, remembered_choice

KEPT = {"generate": 1, "prefill": 2, "reason": "as it was kept"}


@pytest.fixture
def context(weights: LlamaModel) -> Iterator[LlamaContext]:
    opened = LlamaContext(weights, ContextOptions(length=256, sequences=2))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the choices are kept; and two cores, on any machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    return tmp_path / "skyeye-edge" / "threads"


def test_threads_are_measured_once_and_then_remembered(context: LlamaContext, notes: Path) -> None:
    measured = chosen_threads(context, "a model", 2, 1)
    (note,) = notes.iterdir()
    assert remembered_choice("a model", 2) == measured

    note.write_text(json.dumps(KEPT))
    kept = chosen_threads(context, "a model", 2, 1)

    assert " ms with 1, " in measured.reason
    assert kept.reason == "as it was kept"
    assert context.threads == kept.threads == Threads(1, 2)


def test_what_another_machine_or_model_chose_is_not_used(
    context: LlamaContext, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen_threads(context, "a model", 2, 1)
    (note,) = notes.iterdir()
    note.write_text(json.dumps(KEPT))

    other_model = chosen_threads(context, "another model", 2, 1)
    monkeypatch.setattr(platform, "node", lambda: "another machine")
    other_machine = chosen_threads(context, "a model", 2, 1)

    assert KEPT["reason"] not in (other_model.reason, other_machine.reason)
    assert len(list(notes.iterdir())) == 3


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param('{"generate": 1', id="torn"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param(json.dumps(KEPT | {"prefill": "two"}), id="no number"),
        pytest.param(json.dumps(KEPT | {"prefill": 3}), id="more than there are cores"),
        pytest.param(json.dumps(KEPT | {"generate": 0}), id="none"),
    ],
)
def test_a_broken_note_is_measured_again(context: LlamaContext, notes: Path, damaged: str) -> None:
    chosen_threads(context, "a model", 2, 1)
    (note,) = notes.iterdir()
    note.write_text(damaged)

    again = chosen_threads(context, "a model", 2, 1)

    assert " ms with 1, " in again.reason
    assert remembered_choice("a model", 2) == again


def test_a_cache_that_cannot_be_written_is_no_error(
    context: LlamaContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    chosen_threads(context, "a model", 2, 1)

    assert remembered_choice("a model", 2) is None


def test_with_one_core_nothing_is_measured(context: LlamaContext, notes: Path) -> None:
    assert chosen_threads(context, "a model", 1, 1).threads == Threads(1, 1)
    assert not notes.exists()


def test_a_small_model_leaves_a_core_to_the_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for count in (1, 2, 8):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=count: set(range(count)))
        small, large = 5_000_000, 90_000_000  # bytes
        found.append(
            (
                free_cores(small, overlap=True),
                free_cores(small, overlap=False),
                free_cores(large, overlap=True),
            )
        )

    assert found == [(1, 1, 1), (1, 2, 2), (7, 8, 8)]


def test_an_asked_number_of_threads_is_not_measured(tiny_bundle: Path, notes: Path) -> None:
    sky.load(tiny_bundle, without=["overlap"], threads=1).close()
    measured = notes.exists()

    sky.load(tiny_bundle, without=["overlap"]).close()

    assert not measured
    assert len(list(notes.iterdir())) == 1


@pytest.mark.parametrize(
    ("times", "number"),
    [
        pytest.param({1: [1.0, 1.1], 2: [0.6, 0.7]}, 2, id="clearly faster"),
        pytest.param({1: [1.0, 1.1], 2: [0.9, 0.9]}, 1, id="hardly faster"),
        pytest.param({1: [1.0, 1.1], 2: [0.6, 9.0]}, 1, id="faster only while nobody disturbs"),
        pytest.param({1: [1.0], 2: [0.5], 4: [0.45]}, 2, id="two are enough"),
        pytest.param({1: [1.0], 2: [1.5], 4: [0.4]}, 4, id="two are worse, four are better"),
    ],
)
def test_more_threads_must_be_clearly_faster(times: dict[int, list[float]], number: int) -> None:
    assert fastest(times) == number


@pytest.mark.parametrize("exact", [True, False])
def test_the_number_of_threads_moves_no_bit(q8_gguf: Path, exact: bool) -> None:
    model = LlamaModel(q8_gguf)
    found = []
    for threads in (Threads(1, 1), Threads(2, 2)):
        options = ContextOptions(length=256, sequences=2, threads=threads, exact=exact)
        context = LlamaContext(model, options)
        rows = [context.decode_tokens(0, 0, [3 + number for number in range(40)]).copy()]
        rows += [context.decode_tokens(0, 40 + number, [7]).copy() for number in range(4)]
        rows += [row[0].copy() for row in context.decode([Tokens(0, 44, [8]), Tokens(1, 0, [8])])]
        found.append(np.stack(rows))
        context.close()
    model.close()

    assert np.array_equal(found[0], found[1])


def test_measuring_leaves_the_context_as_it_was(context: LlamaContext) -> None:
    before = context.decode_tokens(0, 0, [5, 6, 7]).copy()
    context.remove(0)

    chosen_threads(context, "a model", 2, 1)

    assert np.array_equal(context.decode_tokens(0, 0, [5, 6, 7]), before)
