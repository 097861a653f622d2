"""One thread owns vision and language: encoded once, answered in turn, closed in order."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.bundle import Bundle, open_bundle
from skyeye_edge.core.errors import ClosedError, InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import Pixels, VisualTokens
from skyeye_edge.core.tasks import Ask, Caption, Detect, Ground, Identify, Task
from skyeye_edge.runtime.engine import Engine, Question
from skyeye_edge.runtime.language import LanguageModel
from skyeye_edge.runtime.libllama import ContextOptions
from skyeye_edge.runtime.vision.onnx import OnnxVision


class CountingVision(OnnxVision):
    """The real encoder, which counts its images, and can be told to wait before each."""

    images = 0
    may_go_on: threading.Event | None = None

    def encode(self, pixels: Pixels) -> VisualTokens:
        if self.may_go_on is not None:
            self.may_go_on.wait(10)
        self.images += len(pixels)
        return super().encode(pixels)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def vision(bundle: Bundle) -> CountingVision:
    return CountingVision(bundle.vision_file("auto"), bundle.spec.vision, one_by_one=True)


@pytest.fixture
def engine(bundle: Bundle, vision: CountingVision) -> Iterator[Engine]:
    options = ContextOptions(length=bundle.spec.context)
    language = LanguageModel(bundle.language_file("auto"), options)
    opened = Engine(vision, language, bundle.spec, "hash of the vision file")
    yield opened
    opened.close()


def frame(seed: int = 0, width: int = 96, height: int = 64) -> Frame:
    random = np.random.default_rng(seed)
    return Frame(random.integers(0, 256, (height, width, 3), np.uint8))


def test_a_frame_is_encoded_once_for_all_tasks_and_not_again_later(
    engine: Engine, vision: CountingVision
) -> None:
    tasks = (Caption(), Ask("what?"))
    engine.answer([Question((frame(),), tasks, max_tokens=2)])
    engine.answer([Question((frame(),), (Ground("a boat"),), max_tokens=2)])
    after_one_picture = vision.images

    engine.answer([Question((frame(1), frame(2)), (Caption(),), max_tokens=2)])

    assert (after_one_picture, vision.images) == (1, 3)


def test_an_answer_has_a_result_a_reply_and_the_time_of_every_step(engine: Engine) -> None:
    answer = engine.answer([Question((frame(),), (Caption(), Ground("a boat")), max_tokens=4)])[0]

    assert [reply.ids for reply in answer.replies] == [r.tokens for r in answer.results]
    assert set(answer.timing_ms) == {
        "decode", "preprocess", "encode", "prefill", "generate", "age",
    }  # fmt: skip
    assert answer.timing_ms["encode"] > 0 < answer.timing_ms["generate"]


def test_the_age_of_an_answer_counts_how_late_its_frame_was(engine: Engine) -> None:
    now = time.monotonic()
    late = Frame(frame().rgb, arrived=now, lag=5.0, decoding=0.25)

    answer = engine.answer([Question((late,), (Caption(),), max_tokens=2)])[0]

    assert 5000 < answer.timing_ms["age"] <= 5000 + (time.monotonic() - now) * 1000
    assert answer.timing_ms["decode"] == 250


@pytest.mark.parametrize("task", [Ground("a boat"), Detect("boat"), Identify((0, 0, 9, 9))])
def test_boxes_are_not_asked_of_a_clip(task: Task) -> None:
    with pytest.raises(InputError, match="clip of 2"):
        Question((frame(), frame()), (Caption(), task))


def test_a_question_needs_a_frame_and_tasks(engine: Engine) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        Question((), (Caption(),))
    with pytest.raises(InputError, match="is no task"):
        Question((frame(),), ("caption",))  # type: ignore[arg-type]

    assert engine.answer([Question((frame(),), ())])[0].results == ()


def test_a_question_that_fails_does_not_harm_the_next_one(engine: Engine) -> None:
    long = Question((frame(),), (Ask("word " * 3000),))
    good = Question((frame(),), (Caption(),), max_tokens=3)
    expected = engine.answer([good])[0].results

    with pytest.raises(InputError, match=r"[\d,]+ positions, the model's context 2,048"):
        engine.answer([long])

    assert engine.answer([good])[0].results == expected


def test_a_cancelled_question_costs_no_more_than_the_step_at_hand(
    engine: Engine, vision: CountingVision
) -> None:
    vision.may_go_on = threading.Event()
    first, second = (
        engine.submit(Question((frame(seed),), (Caption(),), max_tokens=2)) for seed in range(2)
    )

    assert first.cancel() and second.cancel()
    vision.may_go_on.set()

    assert engine.answer([Question((frame(2),), (Caption(),), max_tokens=2)])
    assert vision.images <= 2


def test_nobody_keeps_a_frame_after_its_answer(engine: Engine) -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb.flags.writeable = False
    watched = weakref.ref(rgb)

    engine.answer([Question((Frame(rgb),), (Caption(),), max_tokens=2)])
    engine.encode([frame()])  # the thread has come round again
    del rgb
    gc.collect()

    assert watched() is None


def test_closing_refuses_what_waits_and_finishes_what_runs(
    engine: Engine, vision: CountingVision
) -> None:
    vision.may_go_on = threading.Event()
    outcomes: list[object] = []

    def ask(seed: int) -> None:
        try:
            outcomes.append(engine.answer([Question((frame(seed),), (Caption(),), max_tokens=2)]))
        except ClosedError as error:
            outcomes.append(error)

    askers = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for asker in askers:
        asker.start()
    closer = threading.Thread(target=engine.close)
    closer.start()
    vision.may_go_on.set()
    for thread in (*askers, closer):
        thread.join(20)

    assert len(outcomes) == 4
    assert sum(isinstance(outcome, ClosedError) for outcome in outcomes) >= 2
    with pytest.raises(ClosedError):
        engine.answer([Question((frame(),), (Caption(),))])
    engine.close()
