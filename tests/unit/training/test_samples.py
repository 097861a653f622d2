from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import DataError, MediaError
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.collate import IGNORED, Tokenizer
from skyeye_edge.training.data.record import RGB, Record
from skyeye_edge.training.data.samples import Samples, counted
from skyeye_edge.training.recipe import DataRecipe, Recipe, StageRecipe

SPEC = ModelSpec(VisionSpec(56, 4, 64), boxes=BoxSpec(absent="not here"))
SQUARE = (20.0, 20.0, 60.0, 60.0)


def grey() -> RGB:
    return np.full((80, 100, 3), 128, np.uint8)


TOWN = DataSet(
    "town",
    (
        Annotation((grey(),), objects=((SQUARE, "car"), ((70.0, 5.0, 90.0, 25.0), "bus"))),
        Annotation((grey(),), objects=((SQUARE, "car"),)),
    ),
)
EVERYTHING = DataSet(
    "everything",
    (
        Annotation(
            (grey(),),
            captions=("a car .", "a grey road ."),
            objects=((SQUARE, "car"),),
            absent=("a boat",),
            questions=(("how many cars are there?", "1"),),
        ),
    ),
)
SEA = DataSet("sea", (Annotation((grey(),), captions=("a boat .", "the sea .")),))


@pytest.fixture
def samples_of(tokenizer_file: Path) -> Any:
    """Samples of a stage; keywords go into the stage, `given` into the data recipes."""

    def build(
        given: dict[str, Any] | None = None,
        seed: int = 1,
        processes: int = 1,
        data: Sequence[DataSet] = (TOWN, SEA),
        **stage: Any,
    ) -> Samples:
        sources = tuple(
            DataRecipe(**{"name": each.name, "format": "lines", "path": Path("x"), **(given or {})})
            for each in data
        )
        stages = (StageRecipe(**{"name": "only", "steps": 20, "batch": 5, **stage}),)
        recipe = Recipe("x", Path("base"), Path("run"), sources, stages, seed=seed)
        tokenizer = Tokenizer(tokenizer_file)
        return Samples(recipe, stages[0], data, SPEC, tokenizer, processes)

    return build


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skyeye_edge.training.pretrain.vocabulary import train_vocabulary

    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "lmnrst"]
    return train_vocabulary([" ".join(words[n:]) for n in range(40)], file, 480, 100)


def said(record: Record) -> tuple[str, str]:
    return record.source, repr(record.turns)


def test_a_sample_depends_on_its_number_alone(samples_of: Any) -> None:
    first, second = samples_of(), samples_of()
    forwards = [said(first.record(number)) for number in range(30)]

    backwards = [said(second.record(number)) for number in reversed(range(30))]

    assert forwards == backwards[::-1]
    assert len(set(forwards)) > 5


def test_another_seed_or_stage_gives_other_samples(samples_of: Any) -> None:
    plain = [said(samples_of().record(number)) for number in range(20)]

    assert plain != [said(samples_of(seed=2).record(number)) for number in range(20)]
    assert plain != [said(samples_of(name="other").record(number)) for number in range(20)]


def test_a_stage_has_as_many_samples_as_its_steps_take(samples_of: Any) -> None:
    assert len(samples_of(steps=7, batch=3, accumulate=2)) == 42
    assert len(samples_of(steps=7, batch=3, accumulate=2, processes=2)) == 84


def test_data_sets_are_drawn_by_the_ratios_of_the_stage(samples_of: Any) -> None:
    samples = samples_of(ratios={"town": 1, "sea": 3})

    drawn = Counter(samples.record(number).source for number in range(400))

    assert 60 < drawn["town"] < 140  # 100 expected, standard deviation 9


def test_a_data_set_without_a_ratio_is_never_drawn(samples_of: Any) -> None:
    samples = samples_of(ratios={"town": 0})

    assert {samples.record(number).source for number in range(50)} == {"sea"}


def test_epochs_are_counted_in_steps_and_show_every_image(samples_of: Any) -> None:
    samples = samples_of(steps=0, epochs=2, batch=2)
    recipe, data = samples._recipe, samples._data

    stage = counted(recipe, recipe.stages[0], data, processes=2)

    assert stage.steps == 2  # two epochs of three images, two processes, batches of two
    drawn = Counter(samples.record(number).source for number in range(3))
    assert drawn == {"town": 2, "sea": 1}


def test_single_tasks_have_one_turn_and_conversations_several(samples_of: Any) -> None:
    single = samples_of(ratios={"sea": 0})
    talk = samples_of(ratios={"sea": 0}, conversations=1.0, turns=[3, 4])

    assert {len(single.record(number).turns) for number in range(30)} == {1}
    assert {len(talk.record(number).turns) for number in range(30)} == {3, 4}


def test_a_data_set_may_always_converse_in_a_stage_that_does_not(samples_of: Any) -> None:
    talk = samples_of({"conversations": 1.0}, ratios={"sea": 0}, turns=[2, 2])

    assert {len(talk.record(number).turns) for number in range(30)} == {2}


def test_only_the_wanted_tasks_are_asked(samples_of: Any) -> None:
    samples = samples_of({"tasks": {"detect": 1.0, "caption": 1.0}})

    kinds = {type(samples.record(number).turns[0].task) for number in range(40)}

    assert kinds == {Detect, Caption}


def test_boxes_follow_the_picture_when_it_is_augmented(samples_of: Any) -> None:
    samples = samples_of({"augment": True, "tasks": {"identify": 1.0}}, ratios={"sea": 0})

    records = [samples.record(number) for number in range(20)]

    boxes = [r.turns[0].task.box for r in records if isinstance(r.turns[0].task, Identify)]
    assert len(boxes) == 20
    assert len(set(boxes)) > 8
    assert all(0 <= x1 < x2 <= 56 and 0 <= y1 < y2 <= 56 for x1, y1, x2, y2 in boxes)
    assert {r.images[0].shape for r in records if isinstance(r.images[0], np.ndarray)} == {
        (56, 56, 3)
    }


def test_an_object_too_small_for_a_view_is_not_called_absent(samples_of: Any) -> None:
    speck, car = ((39.0, 39.0, 41.0, 41.0), "speck"), (SQUARE, "car")
    dots = DataSet("dots", (Annotation((grey(),), objects=(speck, car)),))

    samples = samples_of({"augment": True, "tasks": {"absent": 1, "ground": 1}}, data=(dots,))
    asked = [turn for n in range(20) for turn in samples.record(n).turns]

    phrases = {turn.task.phrase for turn in asked if turn.target.outcome == "absent"}
    assert phrases == set()


def test_a_sample_is_tokens_labels_and_pixels_of_equal_length(samples_of: Any) -> None:
    sample = samples_of(ratios={"town": 0})[0]

    assert len(sample.ids) == len(sample.labels)
    assert sample.pixels.shape == (1, 3, 56, 56)
    assert sum(token < 0 for token in sample.ids) == SPEC.vision.tokens


def test_a_clip_is_asked_about_as_one_and_never_for_boxes(samples_of: Any) -> None:
    frames = (grey(), grey() // 2)
    clip = Annotation(frames, ("a car drives .",), objects=((SQUARE, "car"),), scene="road")

    samples = samples_of({"augment": True}, data=[DataSet("clips", (clip,))])

    tasks = {type(samples.record(number).turns[0].task) for number in range(60)}
    assert tasks == {Caption, Describe, Classify, Ask}
    assert samples[0].pixels.shape == (2, 3, 56, 56)
    assert sum(token < 0 for token in samples[0].ids) == 2 * SPEC.vision.tokens


def test_frames_of_a_clip_are_cut_turned_and_coloured_alike(samples_of: Any) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    clip = Annotation((rgb, rgb), ("a car drives .",))

    samples = samples_of({"augment": True}, data=[DataSet("clips", (clip,))])

    first, second = samples[0].pixels
    assert np.array_equal(first, second)


def test_a_question_that_leaves_no_room_for_its_answer_is_drawn_again_or_named(
    samples_of: Any,
) -> None:
    samples = samples_of({"tasks": {"ask": 1.0, "caption": 1.0}}, ratios={"sea": 0})
    longest = max(len(sample.ids) for sample in map(samples.__getitem__, range(20)))

    samples._recipe = replace(samples._recipe, length=longest - 1)
    learnt = [any(label != IGNORED for label in samples[n].labels) for n in range(20)]
    samples._recipe = replace(samples._recipe, length=8)

    assert all(learnt)
    with pytest.raises(DataError, match="no answer begins within `length` 8; raise it"):
        samples[0]


def test_phrases_of_people_are_asked_as_they_wrote_them(samples_of: Any) -> None:
    turns = [samples_of({"tasks": {"ground": 1.0}}).record(number).turns[0] for number in range(30)]

    phrases = {turn.task.phrase for turn in turns if isinstance(turn.task, Ground)}

    assert phrases == {"the car", "the bus"}


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        pytest.param("recalled", {Caption}, id="captions that are no descriptions"),
        pytest.param("synthetic", {Caption, Ground, Detect, Identify, Ask}, id="no descriptions"),
        pytest.param("lines", {Caption, Describe, Ground, Detect, Identify, Ask}, id="everything"),
    ],
)
def test_what_is_asked_of_drawn_pictures_if_the_recipe_does_not_say(
    samples_of: Any, form: str, asked: set[type]
) -> None:
    given = {"format": form, "scenes": 0 if form == "lines" else 1}

    samples = samples_of(given, data=[EVERYTHING])

    assert {type(samples.record(number).turns[0].task) for number in range(150)} == asked


@pytest.mark.parametrize("by", [{"steps": 20}, {"steps": 0, "epochs": 7.0}])
def test_another_image_stands_in_for_one_that_goes_bad_while_training(
    samples_of: Any, tmp_path: Path, by: dict[str, Any]
) -> None:
    Image.fromarray(grey()).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"gone")
    names = ("good.png", "bad.png", "good.png")
    items = tuple(Annotation((tmp_path / name,), ("a car .",)) for name in names)

    samples = samples_of(data=[DataSet("own", items)], **by)
    with pytest.raises(MediaError, match=r"bad\.png: not a readable image"):
        [samples[number] for number in range(20)]
    samples._recipe = replace(samples._recipe, skip_unreadable=True)
    first = [samples[number].ids for number in range(20)]

    assert first == [samples[number].ids for number in range(20)]
    assert int(samples.skipped) > 2
