from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import MediaError
from skyeye_edge.core.results import GroundResult, TaskResult, TextResult
from skyeye_edge.core.tasks import Ask, Task
from skyeye_edge.evaluation import Answered, Pictures, Sample, ask_all, evenly
from skyeye_edge.evaluation.asking import note_answer


class Counting:
    """Answers every question with how many frames it was asked about; one file is broken."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, image: Pictures, tasks: Sequence[Task], /) -> list[TaskResult]:
        if image == Path("broken.jpg"):
            raise MediaError("broken.jpg: not a readable image")
        frames = len(image) if isinstance(image, list) else 1
        self.calls.append(len(tasks))
        return [TextResult("ask", "text", str(frames)) for _ in tasks]


def sample(image: str, number: int, frames: int = 1) -> Sample:
    known = Answered(f"{image}#ask:{number}", image, "ask", asked="?", references=("1",))
    return Sample((Path(image),) * frames, Ask("?"), known)


def test_questions_about_one_image_are_asked_together() -> None:
    counting = Counting()

    found = list(ask_all(counting, [sample("a", 0), sample("a", 1), sample("b", 0)]))

    assert counting.calls == [2, 1]
    assert [each.said for each in found] == ["1", "1", "1"]


def test_an_unreadable_image_is_named_and_the_others_go_on() -> None:
    found = list(ask_all(Counting(), [sample("broken.jpg", 0), sample("a", 0)]))

    assert [each.outcome for each in found] == ["unanswered", "text"]
    assert found[0].problem == "broken.jpg: not a readable image"


def test_a_model_gets_as_many_frames_of_a_clip_as_it_takes() -> None:
    clip = sample("a", 0, frames=5)

    said = [next(iter(ask_all(Counting(), [clip], most))).said for most in (0, 1, 3)]

    assert said == ["5", "1", "3"]


def test_what_is_evenly_spaced_holds_the_ends() -> None:
    assert evenly(range(9), 3) == [0, 4, 8]
    assert evenly(range(2), 3) == [0, 1]


def test_a_turned_box_is_scored_by_the_upright_one_around_it() -> None:
    asked = Answered("1", "1", "ground", "a ship", truth=((25, 5, 35, 45),), size=(160, 80))
    result = GroundResult("a ship", "found", (Box((10, 20, 50, 30), angle=90),), size=(160, 80))

    assert note_answer(asked, result).boxes[0] == pytest.approx((25, 5, 35, 45))
