from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.training.data.annotation import Annotation, Object
from skyeye_edge.training.data.builders.known import known
from skyeye_edge.training.data.joining import apart, joined
from skyeye_edge.training.data.parts import read_data
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.recipe import AlsoRecipe, DataRecipe

SHIP: Object = ((0, 0, 9, 9), "ship")
CAR: Object = ((20, 0, 29, 9), "car")


def found(*items: Annotation) -> list[Found]:
    return [Found(f"x:{number}", "train", item) for number, item in enumerate(items)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with 1.tif and 2.tif."""
    (tmp_path / "images").mkdir()
    for name in ("1.tif", "2.tif"):
        Image.new("RGB", (40, 40)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def test_captions_and_questions_of_two_files_meet_at_their_image(
    images: Path, tmp_path: Path
) -> None:
    entry = {"filename": "1.tif", "split": "train", "sentences": [{"raw": "a quay ."}]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [entry]}))
    questions = "1.tif:is there a boat?yes\n2.tif:is there a car?no\n"
    (tmp_path / "vqa.txt").write_text(questions)
    also = (AlsoRecipe("rsivqa", tmp_path / "vqa.txt"),)
    recipe = DataRecipe("ucm", "karpathy", tmp_path / "dataset.json", also=also, hold_out=0)

    [item] = read_data(recipe, seed=1).trained.annotations

    assert item.path == images / "1.tif"
    assert (item.captions, item.questions) == (("a quay .",), (("is there a boat?", "yes"),))
    assert item.question_types == ("presence",)


def test_what_is_wrong_in_the_other_file_is_said(images: Path, tmp_path: Path) -> None:
    entry = {"filename": "1.tif", "split": "train", "sentences": [{"raw": "a quay ."}]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [entry]}))
    (tmp_path / "vqa.txt").write_text("1.tif:is there a boat yes\n")
    also = (AlsoRecipe("rsivqa", tmp_path / "vqa.txt"),)
    recipe = DataRecipe("ucm", "karpathy", tmp_path / "dataset.json", also=also)

    with pytest.raises(DataError, match=r"vqa.txt:1: .* is no question"):
        read_data(recipe, seed=1)
    with pytest.raises(InputError, match="'rsivq' is not known; did you mean 'rsivqa'"):
        AlsoRecipe("rsivq", tmp_path)


def test_labels_that_one_file_never_looked_for_are_not_denied(images: Path) -> None:
    one, two = images / "1.tif", images / "2.tif"
    ships = found(Annotation((one,), objects=(SHIP,)), Annotation((two,), objects=(SHIP,)))
    cars = found(Annotation((one,), objects=(CAR,)))

    both, alone = (each.item for each in joined(ships, cars))

    assert known(both, ("ship", "car", "plane"), (40, 40)).missing == ("plane",)
    assert known(alone, ("ship", "car", "plane"), (40, 40)).missing == ("plane",)
    assert [label for _, label in both.objects] == ["ship", "car"]


def test_sets_that_become_one_file_do_not_deny_each_other_s_labels(images: Path) -> None:
    ships = found(Annotation((images / "1.tif",), objects=(SHIP,)))
    cars = found(Annotation((images / "2.tif",), objects=(CAR,)))

    one, other = (each.item for each in apart([ships, cars]))

    assert (set(one.cut), set(other.cut)) == ({"car"}, {"ship"})


def test_boxes_may_come_from_the_other_file_alone(images: Path) -> None:
    told = found(Annotation((images / "1.tif",), ("a quay .",)))
    boxed = found(Annotation((images / "1.tif",), objects=(SHIP,), cut=frozenset(("car",))))

    [each] = joined(told, boxed)

    assert (each.item.captions, each.item.objects) == (("a quay .",), (SHIP,))
    assert known(each.item, ("ship", "car", "plane"), (40, 40)).missing == ("plane",)


def test_words_that_the_other_file_has_a_place_for_are_not_absent(images: Path) -> None:
    one = Annotation((images / "1.tif",), absent=("a crane", "a bus"))
    other = Annotation((images / "1.tif",), phrases=(("A crane", (0, 0, 9, 9)),))

    [each] = joined(found(one), found(other))

    assert each.item.absent == ("a bus",)
