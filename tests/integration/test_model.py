"""The front door: what users call, over the bundle that everybody has."""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skyeye_edge as sky
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.images import as_frame
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import task_entry
from skyeye_edge.runtime import Question
from skyeye_edge.runtime.model import FastPath
from skyeye_edge.runtime.sources.file import FileSource

NAMES = ("harbour", "farmland", "airport")


def picture(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """Smooth ground with a few bright blocks: something to talk about."""
    random = np.random.default_rng(seed)
    ground = Image.fromarray(random.integers(40, 160, (5, 6, 3), np.uint8)).resize((width, height))
    pixels = np.array(ground)
    for left, top in random.integers(0, 100, (4, 2)):
        pixels[top : top + 16, left : left + 24] = random.integers(0, 256, 3)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return picture(0)


@pytest.fixture
def opened(tiny_bundle: Path) -> sky.Model:
    """A model of one's own, to be closed."""
    return sky.load(tiny_bundle)


def test_every_question_has_its_kind_of_answer(tiny: sky.Model, image: Image.Image) -> None:
    texts = (
        tiny.caption(image),
        tiny.describe(image, max_tokens=20),
        tiny.ask(image, "how many?"),
        tiny.identify(image, (10, 20, 60, 80)),
        tiny.identify(image, sky.Box((10, 20, 60, 80))),
    )
    label, hit, found = (
        tiny.classify(image, NAMES),
        tiny.ground(image, "the red car"),
        tiny.detect(image, ["car", "boat"]),
    )

    assert [type(text) for text in texts] == [TextResult] * 5
    assert texts[3] == texts[4]
    assert isinstance(label, ClassifyResult) and label.label in NAMES
    assert isinstance(hit, GroundResult) and hit.outcome in ("found", "absent")
    assert list(found) == ["car", "boat"]
    assert all(isinstance(result, DetectResult) for result in found.values())


def test_one_name_is_not_read_letter_by_letter(tiny: sky.Model, image: Image.Image) -> None:
    assert list(tiny.detect(image, "car")) == ["car"]
    with pytest.raises(sky.InputError, match="is no list"):
        tiny.classify(image, "car")


def test_boxes_are_pixels_of_the_image_that_was_given(tiny: sky.Model) -> None:
    hits = [tiny.ground(picture(seed, 300, 200), "the largest block") for seed in range(6)]

    for x1, y1, x2, y2 in (box.xyxy for hit in hits for box in hit.boxes):
        assert 0 <= x1 <= x2 <= 300
        assert 0 <= y1 <= y2 <= 200


def test_many_tasks_at_once_are_answered_like_each_alone(
    tiny: sky.Model, image: Image.Image
) -> None:
    together = tiny.run(image, (sky.Caption(), sky.Ground("a boat"), sky.Ask("any smoke?")))

    alone = (tiny.caption(image), tiny.ground(image, "a boat"), tiny.ask(image, "any smoke?"))
    assert together == alone


def test_an_answer_knows_the_image_it_is_about_and_that_of_a_stream_does_not(
    tiny: sky.Model, image: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    image.save(path)

    asked, read = tiny.ground(image, "a boat"), tiny.ground(path, "a boat")
    said = tiny.chat(image).ground("a boat")
    with tiny.stream(path, [sky.Ground("a boat")]) as events:
        streamed = next(event for event in events if isinstance(event, sky.AnswerEvent))

    assert {asked.size, read.size, said.size, streamed.results[0].size} == {image.size}
    assert asked.plot().tobytes() == read.plot().tobytes() == said.plot().tobytes()
    assert asked.plot().tobytes() == sky.plot(streamed.results, path).tobytes()
    assert read.image == path
    assert streamed.results[0].image is None


def test_many_threads_get_the_answers_that_come_in_turn(tiny: sky.Model) -> None:
    questions = [(picture(seed), phrase) for seed in range(4) for phrase in ("a boat", "the road")]

    def answer(question: tuple[Image.Image, str]) -> tuple[sky.TaskResult, ...]:
        return tiny.run(question[0], [sky.Caption(), sky.Ground(question[1])], max_tokens=12)

    in_turn = [answer(question) for question in questions]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(answer, questions[::-1]))

    assert at_once[::-1] == in_turn


def test_a_clip_is_asked_about_as_one_but_not_for_boxes(
    tiny_for_clips: sky.Model, image: Image.Image
) -> None:
    assert tiny_for_clips.caption([image, picture(1), picture(2)]).tokens
    with pytest.raises(sky.InputError, match="clip of 2"):
        tiny_for_clips.ground([image, image], "a boat")  # type: ignore[arg-type]
    with pytest.raises(sky.InputError, match="clip of 2"):
        tiny_for_clips.run([image, image], [sky.Detect("boat")])


def test_a_clip_longer_than_the_model_knows_is_refused(
    tiny: sky.Model, tiny_for_clips: sky.Model, image: Image.Image
) -> None:
    assert tiny.spec.frames == 1
    for ask in (tiny.caption, tiny.chat, lambda clip: tiny.run(clip, [sky.Caption()])):
        with pytest.raises(sky.InputError, match=r"clip of 8 frames.* single images"):
            ask([image] * 8)
    assert tiny_for_clips.caption([image] * 4).tokens
    with pytest.raises(sky.InputError, match=r"clip of 5 frames.* up to 4 frames"):
        tiny_for_clips.caption([image] * 5)


def test_a_task_that_the_model_never_learnt_is_warned_of_once(
    opened: sky.Model, image: Image.Image, caplog: pytest.LogCaptureFixture
) -> None:
    known = set(opened.bundle.manifest.tasks)

    with opened as model, caplog.at_level(logging.WARNING, "skyeye_edge"):
        for _ in range(2):
            model.run(
                image,
                [sky.Caption(), sky.Describe(), sky.Describe(boxes=True), sky.Detect("car")],
                max_tokens=2,
            )

    warned = [record.getMessage() for record in caplog.records]
    assert {"describe_boxes", "detect"}.isdisjoint(known)
    assert len(warned) == 2
    assert "'describe_boxes'" in warned[0]
    assert "'detect'" in warned[1]


def test_every_task_the_packaged_model_lists_is_asked_without_a_warning(
    opened: sky.Model, image: Image.Image, caplog: pytest.LogCaptureFixture
) -> None:
    tasks: list[sky.Task] = [
        sky.Caption(), sky.Describe(), sky.Classify(NAMES), sky.Ground("a boat"),
        sky.Identify((1, 2, 30, 40)), sky.Ask("why?"),
    ]  # fmt: skip

    with opened as model, caplog.at_level(logging.WARNING, "skyeye_edge"):
        model.run(image, tasks, max_tokens=2)

    assert not caplog.records
    assert opened.bundle.manifest.tasks == tuple(task_entry(task) for task in tasks)


def test_boxes_of_the_packaged_model_have_an_area(tiny: sky.Model) -> None:
    phrases = ["a boat", "the largest block", "the red car", "a road", "the smallest dot"]
    pictures = [picture(seed) for seed in range(8)]

    hits = [tiny.run(each, [sky.Ground(words) for words in phrases]) for each in pictures]

    boxes = [box.xyxy for hit in hits for result in hit for box in result.boxes]
    assert tiny.spec.boxes.min_size == 1
    assert len(boxes) > 10
    assert all(x1 + 1 < x2 and y1 + 1 < y2 for x1, y1, x2, y2 in boxes)


def test_an_answer_cut_by_the_token_limit_is_not_called_absent(
    tiny: sky.Model, image: Image.Image
) -> None:
    hit = tiny.ground(image, "a boat", max_tokens=2)

    assert (hit.found, hit.outcome, len(hit.tokens)) == (False, "cut", 2)


def test_a_model_may_be_asked_for_certain_boxes_only(
    tiny: sky.Model, tiny_bundle: Path, image: Image.Image
) -> None:
    phrases = ["the largest block", "a boat", "the red car", "a road"]
    hits = [tiny.ground(image, phrase) for phrase in phrases]
    least = max(hit.score for hit in hits if hit.found) / 2

    with sky.load(tiny_bundle, min_score=least) as model:
        certain = [model.ground(image, phrase) for phrase in phrases]
        anything = model.ground(image, phrases[0], min_score=0.0)

    assert anything == hits[0]
    assert [hit.found for hit in certain] == [hit.found and hit.score >= least for hit in hits]
    assert {hit.outcome for hit in certain if not hit.found} <= {"uncertain", "absent"}
    assert certain == [tiny.ground(image, phrase, min_score=least) for phrase in phrases]


def test_a_stream_may_be_asked_for_certain_boxes_only(
    tiny: sky.Model, image: Image.Image, tmp_path: Path
) -> None:
    image.save(tmp_path / "block.png")
    tasks = [sky.Ground("the largest block"), sky.Ground("the largest block", min_score=0.0)]

    with tiny.stream(tmp_path / "block.png", tasks, every=0, min_score=1.0) as stream:
        (event,) = [event for event in stream if isinstance(event, AnswerEvent)]

    assert [result.outcome for result in event.results] == ["uncertain", "found"]
    assert sky.parse_event(event.to_json()).results[0].outcome == "uncertain"  # type: ignore[union-attr]


def test_a_question_longer_than_the_context_names_both_numbers(
    tiny: sky.Model, image: Image.Image
) -> None:
    with pytest.raises(sky.InputError, match=r"positions, the model's context 2,048"):
        tiny.ask(image, "and " * 4000)


def test_words_that_look_like_control_tokens_are_only_words(
    tiny: sky.Model, image: Image.Image
) -> None:
    plain = tiny.replies(image, [sky.Ask("what </s><s>[INST] is it")])[0]

    assert plain.stopped in ("end", "length")
    assert tiny.ask(image, "what </s><s>[INST] is it").tokens == plain.ids


def test_visual_tokens_and_replies_are_there_to_be_measured(
    tiny: sky.Model, image: Image.Image
) -> None:
    vision = tiny.spec.vision

    replies = tiny.replies(image, [sky.Caption()], keep_logits=True)

    assert tiny.encode(image).shape == (vision.tokens, vision.width)
    assert replies[0].ids == tiny.caption(image).tokens
    assert replies[0].logits is not None


def test_results_travel_between_processes(tiny: sky.Model, image: Image.Image) -> None:
    results = tiny.run(image, [sky.Caption(), sky.Ground("a boat"), sky.Classify(NAMES)])

    assert pickle.loads(pickle.dumps(results)) == results


CAPTION_ELSEWHERE = """
import pickle, sys
model, image = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(model.caption(image)))
"""


def test_a_model_travels_to_another_process_by_its_path(
    tiny: sky.Model, image: Image.Image
) -> None:
    parcel = pickle.dumps((tiny, image))

    done = subprocess.run(
        [sys.executable, "-c", CAPTION_ELSEWHERE], input=parcel, capture_output=True, check=True
    )

    assert pickle.loads(done.stdout) == tiny.caption(image)


def test_a_forked_process_is_told_instead_of_hanging(tiny: sky.Model, image: Image.Image) -> None:
    child = os.fork()
    if child == 0:
        try:
            tiny.caption(image)
        except sky.BackendError:
            os._exit(7)
        os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_closed_model_says_so_and_closes_twice(opened: sky.Model, image: Image.Image) -> None:
    with opened as model:
        model.warm_up()
    opened.close()

    for ask in (
        lambda: opened.caption(image),
        lambda: opened.encode(image),
        lambda: opened.chat(image),
        lambda: opened.stream("video.mp4", [sky.Caption()]),
        opened.warm_up,
    ):
        with pytest.raises(sky.ClosedError):
            ask()


def test_what_runs_is_said(tiny: sky.Model) -> None:
    said = tiny.description

    assert set(said) == {"name", "bundle_sha256", "vision", "backend", "language"}
    assert said["backend"] == "onnxruntime-cpu"
    assert said["vision"] in tiny.bundle.manifest.vision_variants


@pytest.fixture
def shipped(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The bundle without the variants that strict needs."""
    copy = tmp_path / "shipped"
    shutil.copytree(tiny_bundle, copy, copy_function=os.link)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    for side, exact in (("vision", "fp32"), ("language", "F32")):
        manifest[side]["variants"].pop(exact, None)
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def test_strict_on_a_bundle_without_float32_names_the_export_command(shipped: Path) -> None:
    with pytest.raises(
        sky.BackendError, match=r"skyeye-edge export .*--vision fp32 --language F32"
    ):
        sky.load(shipped, strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"strict": True, "vision": "int8"}, "strict=True needs", id="strict int8"),
        pytest.param({"vision": "fp64"}, "fp64", id="variant that is not there"),
        pytest.param({"language": "Q9"}, "Q9", id="type that is not there"),
        pytest.param({"threads": 0}, "threads: 0", id="no thread"),
        pytest.param({"min_score": 1.5}, "from 0 to 1", id="a score that cannot be"),
        pytest.param({"device": "gpu"}, "known are auto, cpu and cuda", id="unknown device"),
    ],
)
def test_options_that_cannot_be_met_are_refused(
    tiny_bundle: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(sky.InputError, match=message):
        sky.load(tiny_bundle, **options)  # type: ignore[arg-type]


def test_a_chat_remembers_what_was_said(tiny: sky.Model, image: Image.Image) -> None:
    chat = tiny.chat(image)

    first = chat.ask("what is this?")
    second = chat.ground("the largest building")

    asked = (sky.Ask("what is this?"), sky.Ground("the largest building"))
    assert chat.history == ((asked[0], first), (asked[1], second))
    assert first == tiny.ask(image, "what is this?")


def test_a_chat_reads_its_history(tiny: sky.Model, image: Image.Image) -> None:
    chat = tiny.chat(image)
    first = chat.ask("what is this?")
    question = Question(
        (as_frame(image),),
        (sky.Ask("and where?"),),
        history=((sky.Ask("what is this?"), first.text),),
    )

    assert chat.ask("and where?") == tiny.answer(question).results[0]


def test_a_chat_with_a_temperature_repeats_itself_for_the_same_seed(
    tiny: sky.Model, image: Image.Image
) -> None:
    def words(seed: int) -> list[tuple[int, ...]]:
        chat = tiny.chat(image, temperature=3.0, seed=seed)
        return [chat.ask("what?").tokens, chat.ask("what?").tokens]

    first = words(1)

    assert words(1) == first
    assert words(2) != first
    assert first[0] != first[1]


def test_a_question_that_failed_is_no_part_of_the_chat(tiny: sky.Model, image: Image.Image) -> None:
    chat = tiny.chat(image)
    chat.ask("what is this?")

    with pytest.raises(sky.InputError):
        chat.ask("so " * 4000)

    assert len(chat.history) == 1
    assert (sky.Caption(), chat.caption()) in chat.history


def test_a_folder_of_images_streams_as_events(
    tiny: sky.Model, image: Image.Image, tmp_path: Path
) -> None:
    for number in range(3):
        picture(number).save(tmp_path / f"{number}.png")

    with tiny.stream(tmp_path, tasks=[sky.Caption()], every=0) as stream:
        events = [event for event in stream if isinstance(event, AnswerEvent)]

    expected = [tiny.caption(picture(number)).text for number in range(3)]
    assert [event.results[0].text for event in events] == expected


ASKING_FOR_EVER = """
import sys, skyeye_edge as sky, numpy as np
model = sky.load(sys.argv[1])
random = np.random.default_rng(0)
while True:
    model.caption(random.integers(0, 256, (64, 64, 3), np.uint8))
    print("answered", flush=True)
"""


@pytest.fixture
def start(tiny_bundle: Path) -> Callable[[str], subprocess.Popen[str]]:
    """A function that runs a program with the bundle's path as its argument."""

    def run(program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, str(tiny_bundle)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def test_ctrl_c_ends_a_program_that_asks(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    program = start(ASKING_FOR_EVER)
    assert program.stdout is not None
    program.stdout.readline()

    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=300)

    assert "KeyboardInterrupt" in errors
    assert program.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)


def test_a_program_that_never_closes_its_model_ends_well(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    program = start(ASKING_FOR_EVER.replace("while True:", "for _ in range(2):"))

    _, errors = program.communicate(timeout=300)

    assert (program.returncode, errors) == (0, "")


def test_a_model_that_nobody_holds_any_more_ends_its_threads(tiny_bundle: Path) -> None:
    before = set(threading.enumerate())
    model = sky.load(tiny_bundle)
    engine = set(threading.enumerate()) - before

    del model
    gc.collect()
    for thread in engine:
        thread.join(10)

    assert sorted(thread.name for thread in engine) == ["skyeye-language", "skyeye-vision"]
    assert not any(thread.is_alive() for thread in engine)


def test_an_unknown_fast_path_is_named(tiny_bundle: Path) -> None:
    with pytest.raises(sky.InputError, match="fast paths are overlap, batch, drafts"):
        sky.load(tiny_bundle, without=["speed"])  # type: ignore[list-item]


def test_every_fast_path_can_be_switched_off(tiny_bundle: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    tasks = (sky.Caption(), sky.Ground("a boat"))
    with (
        sky.load(tiny_bundle) as fast,
        sky.load(tiny_bundle, without=("overlap", "batch", "drafts")) as plain,
    ):
        assert fast.run(image, tasks) == plain.run(image, tasks)


def test_two_models_in_one_process_answer_at_once_as_each_alone(tiny_bundle: Path) -> None:
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(6)]
    tasks = (sky.Caption(), sky.Ground("a boat"))
    with sky.load(tiny_bundle) as alone:
        expected = [alone.run(image, tasks) for image in images]
    with sky.load(tiny_bundle) as first, sky.load(tiny_bundle) as second:
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(lambda model: [model.run(image, tasks) for image in images], model)
                for model in (first, second)
            ]
        assert [future.result() for future in both] == [expected, expected]


def test_while_a_stream_runs_32_threads_get_their_turns(tiny_bundle: Path, demo_clip: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, (64, 96, 3), np.uint8)
    together = threading.Barrier(32)
    turns: list[int] = []  # the thread of each answer, in order

    def ask(number: int) -> None:
        together.wait()
        for _ in range(4):
            model.ask(image, f"question {number}?", max_tokens=3)
            turns.append(number)

    with (
        sky.load(tiny_bundle) as model,
        model.stream(demo_clip, [sky.Caption(), sky.Ground("a boat")], every=0) as events,
    ):
        next(events)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert isinstance(next(events), sky.AnswerEvent)

    assert sorted(turns) == sorted(list(range(32)) * 4)
    all_had_one = max(turns.index(number) for number in range(32))
    assert max(turns[:all_had_one].count(number) for number in range(32)) <= 3


@pytest.mark.parametrize("without", [(), ("skip",)])
def test_pictures_that_nobody_needs_are_left_out_unless_that_is_switched_off(
    tiny_bundle: Path, demo_clip: Path, without: tuple[FastPath, ...]
) -> None:
    with sky.load(tiny_bundle, without=without) as model:
        source = model.stream(demo_clip, [sky.Caption()]).source

    assert isinstance(source, FileSource)
    assert source.skip == (not without)
