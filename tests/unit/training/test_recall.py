from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.errors import DataError
from skyeye_edge.core.results import TaskResult, TextResult
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation import Picture
from skyeye_edge.training.recall import draw_views, recall


class Counting:
    """Says how often it was asked; every third answer is cut."""

    def __init__(self) -> None:
        self.asked = 0

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        self.asked += 1
        outcome = "text" if self.asked % 3 else "cut"
        return [TextResult("caption", outcome, f"view {self.asked}")]  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "recalled.captions.json"


def test_views_are_different_pictures_and_the_same_every_time() -> None:
    first, again = draw_views(6), draw_views(6)

    assert len({view.tobytes() for view in first}) == 6
    assert {view.shape for view in first} == {(128, 128, 3)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_what_the_base_says_is_what_is_learnt_but_for_cut_answers(kept: Path) -> None:
    data = recall("old", 4, Counting(), kept, keep=True)

    assert [item.captions for item in data.annotations] == [("view 1",), ("view 2",), ("view 4",)]


def test_a_resumed_run_learns_what_was_said_before(kept: Path) -> None:
    first = recall("old", 4, Counting(), kept, keep=True)
    other = Counting()

    again = recall("old", 4, other, kept, keep=True)

    assert other.asked == 0
    assert [a.captions for a in again.annotations] == [b.captions for b in first.annotations]


def test_a_base_without_words_cannot_be_recalled(kept: Path) -> None:
    class Mute(Counting):
        def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
            return [TextResult("caption", "cut", "")]

    with pytest.raises(DataError, match="leave this part out"):
        recall("old", 2, Mute(), kept, keep=True)
