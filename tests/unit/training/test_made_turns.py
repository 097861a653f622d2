"""What is made from boxes, captions and classes is true: every word is checked another way."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skyeye_edge.core.boxes import XYXY, BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation, DataSet, Object
from skyeye_edge.training.data.builders.known import known
from skyeye_edge.training.data.builders.referring import ORDINALS, expressions, groups
from skyeye_edge.training.data.builders.turns import (
    KINDS,
    MADE_KINDS,
    USUAL_KINDS,
    Kind,
    build_turns,
    draw_turns,
)
from skyeye_edge.training.data.builders.words import counted, plural
from skyeye_edge.training.data.made import as_kinds, make_conversations
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.record import Turn

SIZE = (200, 100)
LABELS = ("ship", "bridge", "small vehicle", "large vehicle", "plane")
EDGE = st.integers(0, 99)
OBJECTS = st.lists(
    st.tuples(EDGE, EDGE, st.integers(1, 60), st.integers(1, 60), st.sampled_from(LABELS[:4])),
    min_size=1,
    max_size=9,
)


def objects_of(drawn: list[tuple[int, int, int, int, str]]) -> tuple[Object, ...]:
    return tuple(
        ((2.0 * x, float(y), min(200.0, 2.0 * x + w), min(100.0, float(y + h))), label)
        for x, y, w, h, label in drawn
    )


def item_of(drawn: list[tuple[int, int, int, int, str]]) -> Annotation:
    return Annotation((Path("a.png"),), objects=objects_of(drawn))


def middles(boxes: list[XYXY]) -> list[tuple[float, float]]:
    return [((x1 + x2) / 2 / SIZE[0], (y1 + y2) / 2 / SIZE[1]) for x1, y1, x2, y2 in boxes]


def area(box: XYXY) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def by_rank(words: str, box: XYXY, same: list[XYXY]) -> bool:
    """Whether the expression's order or size is true of exactly this box."""
    axis = 0 if {"left", "right", "leftmost", "rightmost"} & set(words.split()) else 1
    values = [place[axis] for place in middles(same)]
    ranked = sorted(zip(values, same, strict=True))
    if words.split()[-1] in ("right", "bottom") or words.startswith(("rightmost", "bottommost")):
        ranked.reverse()
    number = next((n for n, word in enumerate(ORDINALS, 1) if words.startswith(word)), 0)
    return ranked[number][1] == box


def holds(words: str, label: str, box: XYXY, item: Annotation) -> bool:
    """Whether a phrase means this box, read word by word."""
    same = [each for each, name in item.objects if name == label]
    rest = words.removeprefix("the ").replace(label, "", 1).strip()
    x, y = middles([box])[0]
    if not rest:
        return same == [box]
    if rest.startswith(("largest", "smallest")):
        chosen = max(same, key=area) if rest.startswith("largest") else min(same, key=area)
        return chosen == box and [area(each) for each in same].count(area(box)) == 1
    if rest.startswith("nearest to the "):
        anchors = [b for b, name in item.objects if name == rest.removeprefix("nearest to the ")]
        (u, v) = middles(anchors)[0]
        far = [((a - u) * SIZE[0]) ** 2 + ((b - v) * SIZE[1]) ** 2 for a, b in middles(same)]
        return len(anchors) == 1 and same[far.index(min(far))] == box
    if rest.endswith("most") or rest.split()[0] in ORDINALS:
        return by_rank(rest, box, same)
    meant = [b for b, (u, v) in zip(same, middles(same), strict=True) if is_there(rest, u, v)]
    return is_there(rest, x, y) and meant == [box]


def is_there(place: str, x: float, y: float) -> bool:
    """Whether a middle is in that half, or in the inner half for the middle."""
    if place == "in the middle":
        return abs(x - 0.5) < 0.25 and abs(y - 0.5) < 0.25
    halves = {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5}
    return all(halves[word] for word in place.split() if word in halves)


@given(drawn=OBJECTS)
def test_an_expression_means_exactly_the_object_it_is_given_for(
    drawn: list[tuple[int, int, int, int, str]],
) -> None:
    item = item_of(drawn)

    for words, box in expressions(known(item, LABELS, SIZE)):
        labels = [label for each, label in item.objects if each == box and label in words]

        assert any(holds(words, label, box, item) for label in labels), words


@given(drawn=OBJECTS)
def test_a_phrase_of_several_objects_names_all_of_them_and_no_other(
    drawn: list[tuple[int, int, int, int, str]],
) -> None:
    item = item_of(drawn)

    for words, boxes in groups(known(item, LABELS, SIZE)):
        label = next(each for each in LABELS if words.startswith((each, plural(each))))
        place = words.removeprefix(plural(label) if len(boxes) > 1 else label).strip()
        same = sorted(each for each, name in item.objects if name == label)
        there = [b for b, (x, y) in zip(same, middles(same), strict=True) if is_there(place, x, y)]

        assert list(boxes) == (there if place else same)


def turns_of(
    kind: Kind, item: Annotation, seed: int = 0, scenes: tuple[str, ...] = ()
) -> list[Turn]:
    others = tuple(Annotation((Path(name),), scene=name) for name in scenes)
    boxed = Annotation((Path("b"),), objects=tuple(((0, 0, 9, 9), label) for label in LABELS))
    data = DataSet("set", (item, boxed, *others))
    return build_turns(kind, item, data, SIZE, BoxSpec(absent="none"), random.Random(seed))


@given(drawn=OBJECTS, seed=st.integers(0, 999))
def test_counts_presence_and_comparisons_are_true(
    drawn: list[tuple[int, int, int, int, str]], seed: int
) -> None:
    item = item_of(drawn)
    counts = Counter(label for _, label in item.objects)
    truth = {}
    for label in LABELS:
        truth[f"how many {plural(label)} are there?"] = str(counts[label])
        truth[f"how many {plural(label)} do you see?"] = str(counts[label])
        there = "yes" if counts[label] else "no"
        for start in ("a", "an"):
            truth[f"is there {start} {label} in the image?"] = there
            truth[f"is there also {start} {label}?"] = there
        for other in LABELS:
            more = "yes" if counts[label] > counts[other] else "no"
            truth[f"are there more {plural(label)} than {plural(other)}?"] = more
    asked = [turn for kind in ("ask", "reason") for turn in turns_of(kind, item, seed)]

    for turn in asked:
        if isinstance(turn.task, Ask) and turn.task.question in truth:
            assert isinstance(turn.target, TextResult)
            assert turn.target.text == truth[turn.task.question], turn.task.question


@given(drawn=OBJECTS, seed=st.integers(0, 99), unsure=st.sampled_from([*LABELS, "*"]))
def test_nothing_is_said_of_labels_that_may_be_there_without_a_box(
    drawn: list[tuple[int, int, int, int, str]], seed: int, unsure: str
) -> None:
    item = replace(item_of(drawn), cut=frozenset((unsure,)))
    told = [turn for kind in KINDS if kind != "identify" for turn in turns_of(kind, item, seed)]
    labels = LABELS if unsure == "*" else (unsure,)

    for turn in told:
        said = f"{turn.task} {turn.target}"
        assert not any(label in said or plural(label) in said for label in labels), said


def test_what_is_nearly_the_same_as_something_there_is_not_denied() -> None:
    item = Annotation((Path("a"),), objects=(((0, 0, 9, 9), "large vehicle"),))

    denied = [turn.task for turn in turns_of("absent", item)]

    assert denied == [Ground("the bridge"), Ground("the plane"), Ground("the ship")]


@given(drawn=OBJECTS, seed=st.integers(0, 99))
def test_everything_made_is_the_same_again_from_the_same_seed(
    drawn: list[tuple[int, int, int, int, str]], seed: int
) -> None:
    item = replace(item_of(drawn), captions=("a quay .", "ships ."), scene="harbor")

    for kind in KINDS:
        assert turns_of(kind, item, seed) == turns_of(kind, item, seed)


def test_a_referring_expression_is_asked_for_and_given() -> None:
    item = Annotation((Path("a"),), objects=(((0, 0, 20, 20), "ship"), ((90, 80, 110, 99), "ship")))

    places = {turn.task: turn.target for turn in turns_of("refer", item)}
    told = {turn.task: turn.target for turn in turns_of("express", item)}

    assert isinstance(places[Ground("the ship at the top left")], GroundResult)
    assert {answer.text for answer in told.values() if isinstance(answer, TextResult)} >= {
        "the ship at the bottom"
    }
    assert Identify((0, 0, 20, 20)) in told


def test_a_phrase_is_answered_with_every_box_it_means() -> None:
    boxes = ((0, 0, 20, 20), (10, 60, 30, 80), (180, 0, 200, 20))
    item = Annotation((Path("a"),), objects=tuple((box, "plane") for box in boxes))

    turns = {turn.task: turn.target for turn in turns_of("phrase", item)}

    result = turns[Detect("planes on the left")]
    assert isinstance(result, DetectResult)
    assert [box.xyxy for box in result.boxes] == [(0, 0, 20, 20), (10, 60, 30, 80)]


def test_a_local_description_counts_and_places_with_boxes() -> None:
    boxes = ((0, 0, 20, 20), (10, 20, 30, 30))
    bridge = (((160, 10, 200, 20), "bridge"),)
    item = Annotation((Path("a"),), objects=(*((box, "ship") for box in boxes), *bridge))

    [turn] = turns_of("local", item)

    assert turn.task == Describe(boxes=True)
    assert turn.written(SIZE, BoxSpec())[1] == (
        "there are <p>two ships</p> {<0><0><10><20>}<delim>{<5><20><15><30>} at the top left. "
        "there is <p>a bridge</p> {<80><10><100><20>} at the top right."
    )


def test_a_global_description_joins_class_caption_and_objects() -> None:
    objects = (((0, 0, 20, 20), "ship"), ((10, 20, 30, 30), "ship"))
    item = Annotation((Path("a"),), ("a quay with boats .",), objects, scene="harbor")

    [turn] = turns_of("global", item)

    assert isinstance(turn.target, TextResult)
    assert turn.target.text == (
        "the picture shows harbor . a quay with boats . it has two ships . "
        "the ships are all at the top left ."
    )


def test_a_caption_alone_is_no_global_description() -> None:
    assert turns_of("global", Annotation((Path("a"),), ("a quay .",))) == []


def test_reasoning_is_one_conversation_that_ends_in_what_the_picture_shows() -> None:
    boxes = ((0, 0, 20, 20), (60, 20, 90, 40), (150, 70, 190, 99))
    item = Annotation((Path("a"),), objects=tuple((box, "ship") for box in boxes), scene="harbor")

    turns = turns_of("reason", item)
    drawn = draw_turns(lambda kind: turns, {"reason": 1.0}, 1, random.Random(0))

    assert drawn == turns
    assert turns[0].task == Ask("which kinds of objects are there?")
    assert turns[-1].target == TextResult(
        "ask", "text", "harbor, with three ships", question="so what does the picture show?"
    )


def test_questions_about_events_offer_other_classes_of_the_set() -> None:
    clip = Annotation((Path("a"), Path("b")), scene="parade")

    turns = turns_of("event", clip, scenes=("fire", "flood", "match", "harvest"))

    asked = [turn.task.question for turn in turns if isinstance(turn.task, Ask)]
    assert asked[:2] == [
        "what is the event in this video?",
        "does this video show the event parade?",
    ]
    assert [turn.written(SIZE, BoxSpec())[1] for turn in turns] == ["parade", "yes", "no", "parade"]
    assert "parade" not in asked[2] and "parade" in asked[3]


def test_one_question_from_each_of_several_kinds_is_a_multi_task_conversation() -> None:
    item = Annotation(
        (Path("a"),),
        captions=("a quay .",),
        objects=(((0, 0, 20, 20), "ship"), ((150, 60, 180, 99), "bridge")),
    )
    ratios: dict[Kind, float] = {"caption": 1, "refer": 1, "phrase": 1, "express": 1}

    drawn = draw_turns(lambda kind: turns_of(kind, item), ratios, 5, random.Random(3))

    assert len(drawn) == 5
    assert len({type(turn.task) for turn in drawn}) >= 3


def test_made_conversations_are_those_of_the_seed_and_hold_nothing_else(tmp_path: Path) -> None:
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    objects: tuple[Object, ...] = (((0, 0, 20, 20), "ship"), ((150, 60, 180, 99), "bridge"))
    item = Annotation((tmp_path / "a.png",), captions=("a quay .",), objects=objects)
    empty = Annotation((tmp_path / "a.png",))
    found = [Found("x:1", "val", item), Found("x:2", "val", empty)]

    made = make_conversations(found, as_kinds(["express", "phrase"]), 3, 1)
    again = make_conversations(found, as_kinds(["express", "phrase"]), 3, 1)

    assert [(each.split, each.item.captions, each.item.objects) for each in made] == [
        ("val", (), ())
    ]
    assert made[0].item.conversations == again[0].item.conversations
    assert len(made[0].item.conversations[0]) == 3
    with pytest.raises(InputError, match="kind 'refers' is not known; known are caption, "):
        as_kinds(["refers"])


def test_nothing_is_asked_twice_in_a_conversation() -> None:
    item = Annotation((Path("a"),), objects=(((0, 0, 20, 20), "ship"), ((90, 80, 110, 99), "ship")))

    drawn = draw_turns(lambda kind: turns_of(kind, item), {"express": 1}, 9, random.Random(1))

    assert sorted(turn.task.box for turn in drawn if isinstance(turn.task, Identify)) == [
        (0, 0, 20, 20),
        (90, 80, 110, 99),
    ]


def test_kinds_that_are_made_are_asked_only_where_a_recipe_names_them() -> None:
    assert not set(USUAL_KINDS) & set(MADE_KINDS)
    assert set(USUAL_KINDS) | set(MADE_KINDS) == set(KINDS)


@pytest.mark.parametrize(
    ("label", "count", "words"),
    [
        ("airplane", 1, "an airplane"),
        ("bus", 2, "two buses"),
        ("person", 6, "six people"),
        ("fighter aircraft", 3, "three fighter aircraft"),
        ("ship", 7, "many ships"),
    ],
)
def test_counts_are_said_in_english(label: str, count: int, words: str) -> None:
    assert counted(label, count) == words
