"""Arguments of the wrong kind to an open model: InputErrors, and the model goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import skyeye_edge as sky
from skyeye_edge.runtime.machine import cores

IMAGE = Image.new("RGB", (32, 24))

WRONG: dict[str, Callable[[Any], Any]] = {
    "image: None": lambda model: model.caption(None),
    "image: a number": lambda model: model.caption(5),
    "image: a generator": lambda model: model.caption(iter([IMAGE])),
    "image: an empty clip": lambda model: model.caption([]),
    "image: a clip of numbers": lambda model: model.caption([1, 2]),
    "image: an address": lambda model: model.caption("rtsp://10.0.0.2/live"),
    "caption, max_tokens: part": lambda model: model.caption(IMAGE, max_tokens=1.5),
    "caption, max_tokens: word": lambda model: model.caption(IMAGE, max_tokens="10"),
    "caption, max_tokens: 0": lambda model: model.caption(IMAGE, max_tokens=0),
    "describe, boxes": lambda model: model.describe(IMAGE, boxes="yes"),
    "classify: a text": lambda model: model.classify(IMAGE, "harbour"),
    "classify: a number": lambda model: model.classify(IMAGE, 5),
    "classify: none": lambda model: model.classify(IMAGE, []),
    "ground: None": lambda model: model.ground(IMAGE, None),
    "ground, min_score": lambda model: model.ground(IMAGE, "a boat", min_score="high"),
    "detect: a number": lambda model: model.detect(IMAGE, 5),
    "detect: numbers": lambda model: model.detect(IMAGE, [1, 2]),
    "detect: lists": lambda model: model.detect(IMAGE, [["car"]]),
    "detect: none": lambda model: model.detect(IMAGE, []),
    "identify: three": lambda model: model.identify(IMAGE, (1, 2, 3)),
    "identify: None": lambda model: model.identify(IMAGE, None),
    "identify: words": lambda model: model.identify(IMAGE, "1234"),
    "ask: a number": lambda model: model.ask(IMAGE, 5),
    "run: one task": lambda model: model.run(IMAGE, sky.Caption()),
    "run: a word": lambda model: model.run(IMAGE, "caption"),
    "run: words": lambda model: model.run(IMAGE, ["caption"]),
    "run: a class": lambda model: model.run(IMAGE, [sky.Caption]),
    "run: None": lambda model: model.run(IMAGE, None),
    "replies: one task": lambda model: model.replies(IMAGE, sky.Caption()),
    "encode": lambda model: model.encode(5),
    "chat: an image": lambda model: model.chat(5),
    "chat, temperature": lambda model: model.chat(IMAGE, temperature="hot"),
    "chat, temperature below 0": lambda model: model.chat(IMAGE, temperature=-1),
    "chat, seed": lambda model: model.chat(IMAGE, seed=0.5),
    "chat.ask": lambda model: model.chat(IMAGE).ask(5),
    "chat.identify": lambda model: model.chat(IMAGE).identify((1, 2, 3)),
    "chat.classify": lambda model: model.chat(IMAGE).classify("harbour"),
    "stream: a number": lambda model: model.stream(5, [sky.Caption()]),
    "stream: None": lambda model: model.stream(None, [sky.Caption()]),
    "stream: one task": lambda model: model.stream(sky.Push(), sky.Caption()),
    "stream: no task": lambda model: model.stream(sky.Push(), []),
    "stream: words": lambda model: model.stream(sky.Push(), ["caption"]),
    "stream, every": lambda model: model.stream(sky.Push(), [sky.Caption()], every="1"),
    "stream, every: None": lambda model: model.stream(sky.Push(), [sky.Caption()], every=None),
    "stream, clip": lambda model: model.stream(sky.Push(), [sky.Caption()], clip=1.5),
    "stream, min_score": lambda model: model.stream(sky.Push(), [sky.Caption()], min_score="a"),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_an_argument_of_the_wrong_kind_is_an_input_error(
    tiny: sky.Model, call: Callable[[Any], object]
) -> None:
    with pytest.raises(sky.InputError):
        call(tiny)


def test_any_list_of_tasks_and_any_number_is_taken(tiny: sky.Model) -> None:
    def tasks() -> Iterator[sky.Task]:
        yield sky.Caption()
        yield sky.Identify(np.array([1.0, 2, 30, 20]))  # type: ignore[arg-type]  # four numbers

    results = tiny.run(IMAGE, tasks(), max_tokens=np.int64(4))  # type: ignore[call-overload,arg-type,unused-ignore]

    assert [type(result) for result in results] == [sky.TextResult, sky.TextResult]


def test_more_threads_than_cores_are_capped_with_one_warning(
    tiny: sky.Model, caplog: pytest.LogCaptureFixture
) -> None:
    with sky.load(tiny.bundle.root, threads=4096) as crowded:
        answer = crowded.caption(IMAGE)

    warnings = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert [text for text in warnings if "threads" in text] == [
        f"threads: 4096 were asked for, this process may use {cores()} cores: using {cores()}"
    ]
    assert answer.outcome in ("text", "cut")
