"""Arguments of the wrong kind, where no model is needed: each is refused with its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import skyeye_edge as sky
from skyeye_edge.core.arguments import (
    as_path,
    as_tuple,
    check_flag,
    check_number,
    check_text,
    check_whole,
)

RGB = np.zeros((4, 4, 3), np.uint8)
RESULT = sky.TextResult("caption", "text", "two boats")


@pytest.mark.parametrize("value", [1, np.int64(7), 2**70])
def test_whole_numbers_of_any_library_are_taken(value: object) -> None:
    check_whole(value, "count", 1)


@pytest.mark.parametrize("value", [1.5, 1.0, "1", None, True, 0, -1, np.float32(2), [1]])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(sky.InputError, match=r"count: .* is not a whole number from 1 up"):
        check_whole(value, "count", 1)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(1), np.int8(1)])
def test_numbers_of_any_library_are_taken(value: object) -> None:
    check_number(value, "share", 0, 1)


@pytest.mark.parametrize(
    "value", ["0.5", None, True, float("nan"), float("inf"), -0.1, 1.1, [0.5], 1j]
)
def test_what_is_no_number_in_the_range_is_refused(value: object) -> None:
    with pytest.raises(sky.InputError, match=r"share: .* is not a number from 0 to 1"):
        check_number(value, "share", 0, 1)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_flag, "no"),
        (check_flag, 1),
        (check_text, 5),
        (check_text, b"text"),
        (as_path, 5),
        (lambda value, name: as_tuple(value, name, "[1]"), 5),
        (lambda value, name: as_tuple(value, name, "[1]"), "abc"),
    ],
)
def test_another_kind_is_refused_by_name(
    check: Callable[[Any, str], object], value: object
) -> None:
    with pytest.raises(sky.InputError, match=r"^the name: "):
        check(value, "the name")


WRONG: dict[str, Callable[..., Any]] = {
    "Describe": lambda: sky.Describe("yes"),  # type: ignore[arg-type]
    "Classify of a number": lambda: sky.Classify(5),  # type: ignore[arg-type]
    "Classify of a text": lambda: sky.Classify("car"),  # type: ignore[arg-type]
    "Classify of numbers": lambda: sky.Classify([1, 2]),  # type: ignore[arg-type]
    "Ground": lambda: sky.Ground(5),  # type: ignore[arg-type]
    "Ground, score": lambda: sky.Ground("a boat", "0.5"),  # type: ignore[arg-type]
    "Detect": lambda: sky.Detect(None),  # type: ignore[arg-type]
    "Ask": lambda: sky.Ask(["what?"]),  # type: ignore[arg-type]
    "Identify of three": lambda: sky.Identify((1, 2, 3)),  # type: ignore[arg-type]
    "Identify of None": lambda: sky.Identify(None),  # type: ignore[arg-type]
    "Identify of words": lambda: sky.Identify(("1", "2", "3", "4")),  # type: ignore[arg-type]
    "Box of three": lambda: sky.Box((1, 2, 3)),  # type: ignore[arg-type]
    "Box of a number": lambda: sky.Box(7),  # type: ignore[arg-type]
    "Box, score": lambda: sky.Box((1, 2, 3, 4), "high"),  # type: ignore[arg-type]
    "Frame of a list": lambda: sky.Frame([[0]]),  # type: ignore[arg-type]
    "Frame, time": lambda: sky.Frame(RGB, time="now"),  # type: ignore[arg-type]
    "Frame, index": lambda: sky.Frame(RGB, index=1.5),  # type: ignore[arg-type]
    "Frame, source": lambda: sky.Frame(RGB, source=5),  # type: ignore[arg-type]
    "Frame.from_bgr": lambda: sky.Frame.from_bgr(None),  # type: ignore[arg-type]
    "open_bundle": lambda: sky.open_bundle(5),  # type: ignore[arg-type]
    "load, bundle": lambda: sky.load(5),  # type: ignore[arg-type]
    "load, device": lambda: sky.load(device=None),  # type: ignore[arg-type]
    "load, vision": lambda: sky.load(vision=8),  # type: ignore[arg-type]
    "load, language": lambda: sky.load(language=None),  # type: ignore[arg-type]
    "load, threads": lambda: sky.load(threads=1.5),  # type: ignore[arg-type]
    "load, threads as a word": lambda: sky.load(threads="2"),  # type: ignore[arg-type]
    "load, strict": lambda: sky.load(strict="no"),  # type: ignore[arg-type]
    "load, min_score": lambda: sky.load(min_score="0.5"),  # type: ignore[arg-type]
    "parse_event": lambda: sky.parse_event(5),  # type: ignore[arg-type]
    "to_coco of a number": lambda: sky.to_coco(5, ["car"]),  # type: ignore[arg-type]
    "to_coco of no pairs": lambda: sky.to_coco([5], ["car"]),  # type: ignore[list-item]
    "to_coco of no results": lambda: sky.to_coco([(1, "x")], ["car"]),  # type: ignore[list-item]
    "to_coco, categories": lambda: sky.to_coco([], 5),  # type: ignore[arg-type]
    "to_coco, a category": lambda: sky.to_coco([], [{"name": "car"}]),
    "plot of a number": lambda: sky.plot(5),  # type: ignore[arg-type]
    "plot of no results": lambda: sky.plot(["a boat"], RGB),  # type: ignore[list-item]
    "plot on a number": lambda: sky.plot(RESULT, 5),  # type: ignore[arg-type]
    "save to a number": lambda: RESULT.save(5, RGB),  # type: ignore[arg-type]
    "to_detections of a word": lambda: sky.to_detections("a boat"),  # type: ignore[arg-type]
    "to_detections of words": lambda: sky.to_detections(["a boat"]),  # type: ignore[list-item]
    "Push, name": lambda: sky.Push(5),  # type: ignore[arg-type]
    "Push, slots": lambda: sky.Push(slots=1.5),  # type: ignore[arg-type]
    "push of None": lambda: sky.Push().push(None),  # type: ignore[arg-type]
    "push of a list": lambda: sky.Push().push([[[1, 2, 3]]]),  # type: ignore[arg-type]
    "push, time": lambda: sky.Push().push(RGB, time="12:30"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_an_argument_of_the_wrong_kind_is_an_input_error(call: Callable[[], object]) -> None:
    with pytest.raises(sky.InputError):
        call()
