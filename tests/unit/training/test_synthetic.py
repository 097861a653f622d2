"""The procedural world: what is said about a picture is true of its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.data.synthetic import Scene, render_scene
from skyeye_edge.training.data.synthetic.observe import Seen, observe
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.palette import CLASSES
from skyeye_edge.training.data.synthetic.phrases import all_phrases
from skyeye_edge.training.data.synthetic.themes import grow_scene

SEEDS = range(1_000_000, 1_000_060)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, size=96) for seed in SEEDS]


def words_of(text: str) -> str:
    return text.removeprefix("the ")


def test_the_same_seed_gives_the_same_scene() -> None:
    first, second = render_scene(1_000_003), render_scene(1_000_003)

    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))
    assert (first.captions, first.phrases, first.questions) == (
        second.captions,
        second.phrases,
        second.questions,
    )


def test_another_seed_gives_another_picture() -> None:
    first, second = render_scene(1_000_003), render_scene(1_000_004)

    assert not np.array_equal(np.asarray(first.image), np.asarray(second.image))


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_the_size_changes_resolution_and_not_content(seed: int) -> None:
    small, large = render_scene(seed, size=64), render_scene(seed, size=256)

    shrunk = np.asarray(large.image.resize((64, 64))).astype(float)
    assert np.abs(shrunk - np.asarray(small.image)).mean() < 12
    assert [text for text, _ in small.phrases] == [text for text, _ in large.phrases]
    assert np.allclose(
        [np.multiply(box, 4) for _, box in small.phrases], [box for _, box in large.phrases]
    )


@pytest.mark.parametrize(("seed", "size"), [(-1, 64), (3, 8)])
def test_a_request_out_of_range_is_refused(seed: int, size: int) -> None:
    with pytest.raises(InputError, match="give a seed"):
        render_scene(seed, size)


def test_boxes_lie_inside_the_picture_and_are_not_empty(scenes: list[Scene]) -> None:
    boxes = np.array([box for scene in scenes for _, box in scene.phrases])

    assert boxes.min() >= 0 and boxes.max() <= 96
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thing_is_visible_exactly_in_its_box(seed: int) -> None:
    world, camera = grow_scene(seed)
    # Shadows and wakes lie outside the boxes on purpose, so neither may differ here.
    things = tuple(replace(thing, speed=0.0) for thing in world.things[:1])
    world = replace(world, shadow=0.0, things=things, trees=())
    look = Look(noise=0.0)

    with_it = np.asarray(paint(world, camera, look, (200, 200))).astype(int)
    without = np.asarray(paint(replace(world, things=()), camera, look, (200, 200))).astype(int)

    for seen in (one for one in observe(world, camera) if not one.is_area):
        rows, columns = np.nonzero(np.abs(with_it - without).max(axis=2) > 3)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.array(found) - 200 * np.array(seen.box)).max() <= 3.0


@pytest.mark.parametrize("seed", SEEDS)
def test_things_do_not_hide_each_other(seed: int) -> None:
    world, camera = grow_scene(seed)
    plain = replace(world, shadow=0.0, things=tuple(replace(t, speed=0.0) for t in world.things))
    look = Look(noise=0.0)
    full = np.asarray(paint(plain, camera, look, (160, 160))).astype(int)

    changed = np.zeros((160, 160), int)
    for number in range(len(plain.things)):
        rest = plain.things[:number] + plain.things[number + 1 :]
        other = np.asarray(paint(replace(plain, things=rest), camera, look, (160, 160)))
        changed += np.abs(full - other).max(axis=2) > 40

    # Two things may touch in the averaged pixel between them, but not cover each other.
    assert (changed > 1).sum() <= 3


def test_a_phrase_is_said_once_and_never_also_absent(scenes: list[Scene]) -> None:
    for scene in scenes:
        boxes: dict[str, set[tuple[float, ...]]] = {}
        for text, box in scene.phrases:
            boxes.setdefault(words_of(text), set()).add(box)
        assert all(len(places) == 1 for places in boxes.values())
        assert not boxes.keys() & {words_of(text) for text in scene.absent}


def test_what_is_called_absent_is_not_in_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes:
        shown = {thing.kind for thing in scene.objects}
        shown |= {f"{thing.colour} {thing.kind}" for thing in scene.objects}
        assert 2 <= len(scene.absent) <= 4
        for text in scene.absent:
            assert words_of(text) not in shown


def test_a_class_alone_means_the_only_one_of_its_kind(scenes: list[Scene]) -> None:
    for scene in scenes:
        kinds = [thing.kind for thing in scene.objects]
        for text, _ in scene.phrases:
            assert words_of(text) not in CLASSES or kinds.count(words_of(text)) == 1


def test_counts_are_those_of_the_objects(scenes: list[Scene]) -> None:
    plural = {one.plural: kind for kind, one in CLASSES.items()}
    asked = 0
    for scene in scenes:
        kinds = [thing.kind for thing in scene.objects]
        for question, answer in scene.questions:
            if question.startswith("how many "):
                name = question.removeprefix("how many ").removesuffix(" are there?")
                assert answer == str(kinds.count(plural[name]))
                asked += 1
    assert asked > 60


def test_yes_and_no_are_about_equally_frequent(scenes: list[Scene]) -> None:
    answers = [answer for scene in scenes for _, answer in scene.questions]
    yes, no = answers.count("yes"), answers.count("no")

    assert 0.4 < yes / (yes + no) < 0.6


def test_captions_and_questions_keep_their_form(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert 3 <= len(scene.captions) == len(set(scene.captions)) <= 5
        assert all(text == text.lower() and text.endswith(" .") for text in scene.captions)
        assert 6 <= len(scene.questions) <= 10


def test_positions_are_only_said_where_they_are_clear() -> None:
    left = Seen("car", "red", (0.10, 0.5, 0.20, 0.6))
    near = Seen("car", "red", (0.14, 0.3, 0.24, 0.4))
    far = Seen("car", "red", (0.70, 0.5, 0.80, 0.6))

    clear = [text for text, one in all_phrases([left, far], 1.0) if one is left]
    unclear = [text for text, one in all_phrases([left, near], 1.0) if one is left]

    assert "the leftmost car" in clear and "the car on the left" in clear
    assert not any("left" in text for text in unclear)


def test_the_camera_finds_the_ground_point_that_it_shows() -> None:
    _, camera = grow_scene(1_000_001)

    x, y = camera.ground(0.3, 0.8)

    assert camera.project(np.array([[x, y, 0.0]]))[0] == pytest.approx((0.3, 0.8))
    u, v, w = camera.ground_matrix() @ (x, y, 1.0)
    assert (u / w, v / w) == pytest.approx((0.3, 0.8))
