from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import XYXY, BoxSpec
from skyeye_edge.core.parsing import format_answer, parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import GroundResult
from skyeye_edge.core.tasks import Classify, Ground
from skyeye_edge.training.data.annotation import Annotation, DataSet, Object
from skyeye_edge.training.data.builders.boxes import phrases
from skyeye_edge.training.data.builders.turns import (
    KINDS,
    Kind,
    build_turns,
    draw_turns,
    spaced,
)
from skyeye_edge.training.data.record import Turn

SIZE = (200, 100)
BOXES = BoxSpec(bins=100, labels="rounded", absent="not in the image")
LABELS = ("boat", "car", "small plane")


def edges(size: int) -> st.SearchStrategy[tuple[float, float]]:
    two = st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True)
    return two.map(lambda found: (float(min(found)), float(max(found))))


XYXYS = st.tuples(edges(SIZE[0]), edges(SIZE[1])).map(
    lambda e: (e[0][0], e[1][0], e[0][1], e[1][1])
)
OBJECTS = st.lists(st.tuples(XYXYS, st.sampled_from(LABELS)), max_size=8).map(tuple)
CENTRES = {
    "leftmost": lambda b: b[0] + b[2],
    "rightmost": lambda b: -b[0] - b[2],
    "topmost": lambda b: b[1] + b[3],
    "bottommost": lambda b: -b[1] - b[3],
    "largest": lambda b: -(b[2] - b[0]) * (b[3] - b[1]),
}


def annotation(objects: tuple[Object, ...]) -> Annotation:
    return Annotation(
        (Path("x.jpg"),),
        captions=("a port .", "a pier ."),
        objects=objects,
        phrases=(("the thing on the left", (0.0, 0.0, 10.0, 10.0)),),
        absent=("a crane",),
        questions=(("what is this?", "a port"),),
        scene="Port",
    )


def data_set(item: Annotation) -> DataSet:
    known = Annotation(
        (Path("y.jpg"),),
        objects=tuple(((0.0, 0.0, 1.0, 1.0), name) for name in LABELS),
        scene="Farm",
    )
    return DataSet("own", (item, known))


def every_turn(item: Annotation) -> list[Turn]:
    chance = random.Random(1)
    return [t for k in KINDS for t in build_turns(k, item, data_set(item), SIZE, BOXES, chance)]


@given(objects=OBJECTS)
def test_a_phrase_means_one_object_and_the_right_one(objects: tuple[Object, ...]) -> None:
    counts = Counter(label for _, label in objects)

    for words, box in phrases(objects, SIZE):
        label = next(name for name in LABELS if words.endswith(name))
        extreme = CENTRES.get(words.split()[1])
        same: list[XYXY] = [one for one, name in objects if name == label]
        assert box == (min(same, key=extreme) if extreme else same[0])
        assert (extreme is None) == (counts[label] == 1)


@given(objects=OBJECTS)
def test_every_answer_comes_back_from_its_text(objects: tuple[Object, ...]) -> None:
    turns = every_turn(annotation(objects))

    for turn in turns:
        assert not isinstance(turn.task, str)
        text = format_answer(turn.target, SIZE, BOXES)
        reply = Reply((1,), (text.encode(),), (1.0,), (True,), "end")
        again = parse_reply(turn.task, reply, SIZE, BOXES)
        assert type(again) is type(turn.target)
        assert again.outcome == turn.target.outcome
        assert format_answer(again, SIZE, BOXES) == text


@given(objects=OBJECTS)
def test_boxes_come_back_within_half_a_bin(objects: tuple[Object, ...]) -> None:
    item = annotation(objects)

    for turn in build_turns("ground", item, data_set(item), SIZE, BOXES, random.Random(1)):
        assert isinstance(turn.task, Ground)
        assert isinstance(turn.target, GroundResult)
        text = format_answer(turn.target, SIZE, BOXES)
        reply = Reply((1,), (text.encode(),), (1.0,), (True,), "end")
        again = parse_reply(turn.task, reply, SIZE, BOXES)
        assert isinstance(again, GroundResult)
        pairs = zip(again.boxes[0].xyxy, turn.target.boxes[0].xyxy, SIZE * 2, strict=True)
        assert all(abs(a - b) <= size / 100 / 2 + 1e-9 for a, b, size in pairs)


@given(objects=OBJECTS)
def test_what_is_there_is_never_called_absent(objects: tuple[Object, ...]) -> None:
    item = annotation(objects)

    turns = build_turns("absent", item, data_set(item), SIZE, BOXES, random.Random(1))

    called = {turn.task.phrase for turn in turns if isinstance(turn.task, Ground)}
    missing = {f"the {name}" for name in LABELS} - {f"the {label}" for _, label in objects}
    assert called == {"a crane"} | (missing if objects else set())


def test_a_model_that_never_learnt_to_say_absent_is_not_taught_it() -> None:
    item = annotation((((0.0, 0.0, 5.0, 5.0), "car"),))

    assert build_turns("absent", item, data_set(item), SIZE, BoxSpec(), random.Random(1)) == []


@given(seed=st.integers(0, 1000))
def test_the_right_class_is_among_the_names(seed: int) -> None:
    item = annotation(())

    turn = build_turns("classify", item, data_set(item), SIZE, BOXES, random.Random(seed))[0]

    assert isinstance(turn.task, Classify)
    assert sorted(name.lower() for name in turn.task.names) == ["farm", "port"]
    assert format_answer(turn.target, SIZE, BOXES) in turn.task.names


@given(number=st.integers(1, 6), seed=st.integers(0, 100))
def test_drawn_turns_are_different_and_of_the_wanted_kinds(number: int, seed: int) -> None:
    item = annotation((((0.0, 0.0, 5.0, 5.0), "car"), ((50.0, 0.0, 90.0, 5.0), "car")))
    ratios: dict[Kind, float] = {"caption": 1.0, "ground": 2.0, "ask": 0.0}
    chance = random.Random(seed)

    def build(kind: Kind) -> list[Turn]:
        return build_turns(kind, item, data_set(item), SIZE, BOXES, chance)

    turns = draw_turns(build, ratios, number, chance)

    names = [type(turn.task).__name__ for turn in turns]
    assert set(names) <= {"Caption", "Ground"}
    assert names.count("Caption") <= 1
    assert len({repr(turn) for turn in turns}) == len(turns) == min(number, 5)


@pytest.mark.parametrize(
    ("name", "words"),
    [("BareLand", "bare land"), ("playfields", "playfields"), ("parking lot", "parking lot")],
)
def test_joined_names_are_spelt_out(name: str, words: str) -> None:
    assert spaced(name) == words
