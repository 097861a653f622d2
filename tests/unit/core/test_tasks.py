"""What can be asked, in the words that the published models know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.tasks import (
    Ask,
    Caption,
    Classify,
    Describe,
    Detect,
    Ground,
    Identify,
    Task,
    instruction,
    max_tokens,
    task_entry,
    task_name,
    with_min_score,
)


@pytest.mark.parametrize(
    ("task", "name", "words", "tokens"),
    [
        (Caption(), "caption", "[caption] please describe this image?", 64),
        (Describe(), "describe", "please describe this image in details", 256),
        (
            Describe(boxes=True), "describe",
            "[grounding] please describe this image in details", 256,
        ),
        (
            Classify(("port", "sea")), "classify",
            "[vqa] which of these is this image: port, sea?", 32,
        ),
        (
            Classify(("yes", "no"), "is there a boat?"), "classify", "[vqa] is there a boat?", 32,
        ),
        (Ground("a boat"), "ground", "[refer] give me the location of a boat", 48),
        (Detect("ship"), "detect", "[detection] ship", 512),
        (
            Identify((10, 20, 100, 50)), "identify",
            "[identify] what object is in this location {<10><40><100><100>}", 32,
        ),
        (Ask("how many?"), "ask", "[vqa] how many?", 64),
    ],
    ids=str,
)  # fmt: skip
def test_a_task_has_its_name_words_and_limit(
    task: Task, name: str, words: str, tokens: int
) -> None:
    assert task_name(task) == name
    assert instruction(task, (100, 50), BoxSpec()) == words
    assert max_tokens(task) == tokens


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Ground(" "), id="a blank phrase"),
        pytest.param(lambda: Ask(""), id="no question"),
        pytest.param(lambda: Ground("caf\udce9"), id="bytes that are no text"),
        pytest.param(lambda: Detect("a<p>b"), id="marks of the box syntax"),
        pytest.param(lambda: Detect("{"), id="a brace"),
        pytest.param(lambda: Classify(()), id="no names"),
        pytest.param(lambda: Classify(("a", "a")), id="one name twice"),
        pytest.param(lambda: Classify(("a", "")), id="an empty name"),
        pytest.param(lambda: Classify(("a", "b"), " "), id="a blank question"),
        pytest.param(lambda: Identify((2, 0, 1, 1)), id="swapped corners"),
        pytest.param(lambda: Identify((0, 0, float("nan"), 1)), id="not a number"),
    ],
)
def test_a_task_that_makes_no_sense_cannot_be_made(make: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        make()


def test_names_may_come_as_a_list() -> None:
    names: Any = ["port", "sea"]

    assert Classify(names) == Classify(("port", "sea"))
    assert hash(Classify(names)) == hash(Classify(("port", "sea")))


def test_boxes_in_a_description_are_a_skill_of_their_own() -> None:
    tasks: list[Task] = [Describe(), Describe(boxes=True), Detect("a")]

    assert [task_entry(task) for task in tasks] == ["describe", "describe_boxes", "detect"]


def test_a_task_that_states_its_least_score_keeps_it() -> None:
    tasks: list[Task] = [Ground("a"), Detect("a", 0.7), Caption()]

    assert [with_min_score(task, 0.5) for task in tasks] == [
        Ground("a", 0.5), Detect("a", 0.7), Caption(),
    ]  # fmt: skip


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan"), True, "0.5"], ids=str)
@pytest.mark.parametrize("kind", [Ground, Detect])
def test_a_least_score_is_a_number_from_0_to_1(kind: Callable[..., Task], least: Any) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        kind("a boat", min_score=least)
