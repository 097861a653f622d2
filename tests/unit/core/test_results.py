"""What users can do with a result: look at it, write it down, draw it."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.drawing import COLOURS
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
    caption,
    parse_result,
    plot,
)

GREY = np.full((96, 160, 3), 100, np.uint8)
BOX = Box((40, 30, 120, 70), 0.91)
BOAT = GroundResult("a boat", "found", (BOX,), size=(160, 96), image=GREY)
ROAD = TextResult("caption", "text", "a road", size=(160, 96), image=GREY)
EVERY_KIND: list[TaskResult] = [
    ROAD,
    TextResult("ask", "text", "two", question="how many?"),
    TextResult("identify", "text", "a car", box=(1, 2, 3, 4)),
    TextResult("describe", "text", "a quay", phrases=(("a quay", (BOX,)),), size=(160, 96)),
    ClassifyResult("port", "text", "port"),
    ClassifyResult("yes", "text", "yes", question="is there smoke?"),
    BOAT,
    GroundResult("a car", "absent", ()),
    DetectResult("car", "found", (BOX, BOX), size=(160, 96)),
]


@pytest.mark.parametrize("result", EVERY_KIND, ids=lambda result: result.to_dict()["task"])
def test_a_result_comes_back_from_its_json(result: TaskResult) -> None:
    values = json.loads(result.to_json())

    back = parse_result(values, result.size)

    assert values == result.to_dict()
    assert (back.to_dict(), back.size, back.boxes) == (values, result.size, result.boxes)


@pytest.mark.parametrize("result", EVERY_KIND, ids=lambda result: result.to_dict()["task"])
def test_every_kind_has_the_same_things_to_look_at(result: TaskResult) -> None:
    assert result.found == bool(result.boxes)
    assert isinstance(result.text + result.outcome, str)
    assert all(isinstance(box, Box) for box in result.boxes)


def test_a_box_carries_the_words_it_is_a_box_of() -> None:
    described = TextResult("describe", "text", "", phrases=(("a quay", (BOX,)), ("a car", (BOX,))))

    assert [box.label for box in BOAT.boxes] == ["a boat"]
    assert [box.label for box in DetectResult("car", "found", (BOX, BOX)).boxes] == ["car", "car"]
    assert [box.label for box in described.boxes] == ["a quay", "a car"]


def test_what_a_result_is_about_is_no_part_of_the_answer() -> None:
    assert replace(BOAT, image=None, size=(1, 1)) == BOAT
    assert "image" not in repr(BOAT)
    assert pickle.loads(pickle.dumps(BOAT)) == BOAT


def test_boxes_are_not_written_without_the_size_of_their_image() -> None:
    with pytest.raises(InputError, match=r"dataclasses\.replace\(result, size=\(width, height\)\)"):
        GroundResult("a boat", "found", (BOX,)).to_dict()


def test_a_result_is_drawn_on_the_image_it_is_about() -> None:
    picture = np.asarray(BOAT.plot())

    assert tuple(picture[70, 80]) == COLOURS[0]
    assert tuple(picture[50, 80]) == (100, 100, 100)
    assert (GREY == 100).all()


def test_a_result_without_an_image_is_drawn_on_a_given_one_of_any_size() -> None:
    picture = np.asarray(replace(BOAT, image=None).plot(np.zeros((192, 320, 3), np.uint8)))

    assert picture.shape == (192, 320, 3)
    assert tuple(picture[140, 160]) == COLOURS[0]


def test_a_result_without_an_image_asks_for_one() -> None:
    with pytest.raises(InputError, match=r"give it, plot\(image\)"):
        replace(BOAT, image=None).plot()


def test_a_file_is_read_again_when_its_answer_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    boat = replace(BOAT, image=path)

    drawn = np.asarray(boat.plot())
    path.unlink()

    assert np.array_equal(drawn, np.asarray(BOAT.plot()))
    with pytest.raises(InputError, match="there is no such file"):
        boat.plot()


def test_several_answers_stand_on_one_picture() -> None:
    both, one = (np.asarray(plot(results)) for results in ([ROAD, BOAT], [ROAD]))

    assert tuple(both[30, 80]) == COLOURS[0]
    assert np.array_equal(both[-5:], one[-5:])


def test_a_result_is_saved_in_the_format_of_the_name(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        BOAT.save(tmp_path / name)

    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.jpg"}
    with Image.open(tmp_path / "a.jpg") as jpeg, Image.open(tmp_path / "a.png") as png:
        assert (jpeg.format, png.format) == ("JPEG", "PNG")
        assert np.array_equal(np.asarray(png), np.asarray(BOAT.plot()))


@pytest.mark.parametrize("name", ["a.xyz", "a", "missing/a.png"])
def test_a_picture_that_cannot_be_written_says_why(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no picture format|cannot be written"):
        BOAT.save(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_picture_where_there_is_one() -> None:
    shown = BOAT._repr_png_()

    assert shown is not None
    assert Image.open(io.BytesIO(shown)).size == (160, 96)
    assert replace(BOAT, image=None)._repr_png_() is None


def test_what_was_not_found_is_said_in_the_caption() -> None:
    question = TextResult("ask", "text", "two", question="how many?")

    said = caption([ROAD, BOAT, replace(BOAT, outcome="uncertain", boxes=()), question])

    assert said == "a road  |  a boat: uncertain  |  how many? two"
