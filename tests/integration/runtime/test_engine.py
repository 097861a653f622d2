"""One thread owns vision and language: encoded once, answered in turn, closed in order."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.bundle import Bundle, open_bundle
from skyeye_edge.core.errors import BackendError, BusyError, ClosedError, InputError, LateError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import Pixels, VisualTokens
from skyeye_edge.core.tasks import Ask, Caption, Detect, Ground, Identify, Task
from skyeye_edge.runtime.engine import AHEAD, WAITING, Engine
from skyeye_edge.runtime.language import Generation, LanguageModel
from skyeye_edge.runtime.libllama import ContextOptions
from skyeye_edge.runtime.question import Answer, Question
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
    opened = Engine(vision, language, bundle.spec, "hash of the vision file", remember_bytes=2**20)
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

    assert watched() is None  # at once: a frame of 4K is 25 MB, and garbage is collected seldom


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


def test_one_task_that_does_not_fit_does_not_fail_its_neighbours(engine: Engine) -> None:
    tasks = (Caption(), Ask("word " * 3000), Ground("a boat"))
    alone = engine.answer([Question((frame(),), (Caption(),), max_tokens=9)])[0].results[0]

    answer = engine.submit(Question((frame(),), tasks, max_tokens=9)).result()

    assert [result.outcome == "failed" for result in answer.results] == [False, True, False]
    assert answer.results[0] == alone
    assert "2,048" in str(answer.replies[1].failure)


def test_a_question_whose_turn_comes_after_its_deadline_costs_nothing(
    engine: Engine, vision: CountingVision
) -> None:
    late = engine.submit(Question((frame(5),), (Caption(),)), deadline=time.monotonic() - 1)

    with pytest.raises(LateError, match="after its deadline"):
        late.result()

    assert vision.images == 0


def test_too_many_questions_are_refused_and_the_others_answered(
    engine: Engine, vision: CountingVision
) -> None:
    vision.may_go_on = threading.Event()
    asked: list[Future[Answer]] = []
    with pytest.raises(BusyError, match=f"{WAITING} questions wait"):
        while len(asked) <= WAITING + 2:
            asked.append(engine.submit(Question((frame(),), (Caption(),), max_tokens=1)))

    vision.may_go_on.set()

    assert all(answer.result().results for answer in asked)


def test_a_client_with_one_question_does_not_wait_for_anothers_hundred(
    engine: Engine, vision: CountingVision
) -> None:
    vision.may_go_on = threading.Event()
    ended: list[str] = []

    def ask(client: str) -> Future[Answer]:
        answer = engine.submit(Question((frame(),), (Caption(),), max_tokens=2), client=client)
        answer.add_done_callback(lambda _: ended.append(client))
        return answer

    answers = [ask("greedy") for _ in range(100)] + [ask("modest")]
    vision.may_go_on.set()
    for answer in answers:
        answer.result()

    assert ended.index("modest") <= engine_ahead()


def engine_ahead() -> int:
    """Answers that may come before that of a client whose turn is next: those begun already."""
    return 1 + AHEAD + 1 + ContextOptions(1).sequences


def test_a_cancelled_question_is_given_up_while_it_is_answered(engine: Engine) -> None:
    slow = engine.submit(Question((frame(),), (Ask("what?"),) * 4, max_tokens=2000))
    neighbour = Question((frame(1),), (Caption(),), max_tokens=3)
    expected = engine.submit(neighbour, client="other")

    cancelled = slow.cancel()

    assert expected.result().results
    assert cancelled or slow.done()
    assert engine.answer([neighbour])[0].results == expected.result().results


def test_closing_in_the_middle_of_long_answers_ends_them(engine: Engine) -> None:
    answers = [
        engine.submit(Question((frame(seed),), (Ask("what?"),), max_tokens=100_000))
        for seed in range(40)
    ]

    engine.close()

    assert all(answer.done() for answer in answers)
    assert any(isinstance(answer.exception(), ClosedError) for answer in answers)


@pytest.mark.parametrize(
    ("overlap", "batch", "drafts"),
    [(True, False, False), (False, True, False), (False, False, True), (True, True, True)],
)
def test_no_fast_path_changes_an_answer(
    bundle: Bundle, vision: CountingVision, overlap: bool, batch: bool, drafts: bool
) -> None:
    tasks = (Caption(), Ground("a boat"), Ask("what is it?"), Detect("car"))
    questions = [
        Question((frame(seed),), tasks, max_tokens=12, keep_logits=True) for seed in range(3)
    ]
    options = ContextOptions(length=bundle.spec.context)
    plain = LanguageModel(bundle.language_file("auto"), options, batch=False, drafts=False)
    fast = LanguageModel(bundle.language_file("auto"), options, batch=batch, drafts=drafts)
    other = OnnxVision(bundle.vision_file("auto"), bundle.spec.vision, one_by_one=True)
    slow_engine = Engine(other, plain, bundle.spec, "hash", overlap=False)
    fast_engine = Engine(vision, fast, bundle.spec, "hash", overlap=overlap)
    try:
        expected = [slow_engine.answer([question])[0] for question in questions]
        fast_engine.answer(questions)  # what is guessed is known then
        answers = fast_engine.answer(questions)
    finally:
        slow_engine.close()
        fast_engine.close()

    assert [kept(answer) for answer in answers] == [kept(answer) for answer in expected]
    assert [answer.results for answer in answers] == [answer.results for answer in expected]


def kept(answer: Answer) -> list[bytes]:
    """Every logit of every reply."""
    rows = [row for reply in answer.replies for row in reply.logits or ()]
    return [row.tobytes() for row in rows if row is not None]


def test_an_encoder_that_takes_several_images_gets_those_that_wait(bundle: Bundle) -> None:
    class BatchingVision(CountingVision):
        calls = 0

        def encode(self, pixels: Pixels) -> VisualTokens:
            self.calls += 1
            return super().encode(pixels)

    vision = BatchingVision(bundle.vision_file("auto"), bundle.spec.vision)
    vision.max_batch = 4
    vision.may_go_on = threading.Event()
    language = LanguageModel(bundle.language_file("auto"), ContextOptions(bundle.spec.context))
    engine = Engine(vision, language, bundle.spec, "hash")

    asked = [
        engine.submit(Question((frame(seed),), (Caption(),), max_tokens=2)) for seed in range(9)
    ]
    vision.may_go_on.set()
    answers = [answer.result() for answer in asked]
    engine.close()

    assert all(answer.results for answer in answers)
    assert vision.images == 9
    assert vision.calls <= 1 + 2 + 1  # the first alone, if it was quick; four at once; what is left


def test_one_image_that_cannot_be_encoded_does_not_fail_those_beside_it(bundle: Bundle) -> None:
    class PickyVision(CountingVision):
        def encode(self, pixels: Pixels) -> VisualTokens:
            tokens = super().encode(pixels)
            tokens[np.ptp(pixels, axis=(2, 3)).max(axis=1) == 0] = np.nan  # of flat pictures
            return tokens

    vision = PickyVision(bundle.vision_file("auto"), bundle.spec.vision)
    vision.max_batch = 4
    vision.may_go_on = threading.Event()
    language = LanguageModel(bundle.language_file("auto"), ContextOptions(bundle.spec.context))
    engine = Engine(vision, language, bundle.spec, "hash")
    pictures = [frame(0), frame(1), Frame(np.zeros((64, 96, 3), np.uint8)), frame(2)]

    asked = [engine.submit(Question((each,), (Caption(),), max_tokens=2)) for each in pictures]
    vision.may_go_on.set()
    failures = [answer.exception() for answer in asked]
    engine.close()

    assert [type(failure) for failure in failures] == [
        type(None), type(None), BackendError, type(None)
    ]  # fmt: skip


def test_a_mistake_of_ours_fails_what_is_at_work_and_nothing_after_it(
    bundle: Bundle, vision: CountingVision
) -> None:
    class Stumbling(LanguageModel):
        stumbles = 1

        def step(self, generations: Sequence[Generation]) -> None:
            if generations and self.stumbles:
                self.stumbles -= 1
                raise ZeroDivisionError
            super().step(generations)

    language = Stumbling(bundle.language_file("auto"), ContextOptions(bundle.spec.context))
    engine = Engine(vision, language, bundle.spec, "hash")
    question = Question((frame(),), (Caption(),), max_tokens=5)

    with pytest.raises(ZeroDivisionError):
        engine.answer([question])

    assert engine.answer([question])[0].results
    engine.close()
    assert language.cache.free == ContextOptions(1).sequences
