"""Boxes, names and captions as they are drawn on pictures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.drawing import COLOURS, build_drawing, build_labels
from skyeye_edge.core.placement import Rectangle

Rgb = npt.NDArray[np.uint8]
BOX = Box((40, 30, 120, 70), 0.91)
GREY = np.full((360, 640, 3), 100, np.uint8)


def drawn(caption: str = "", *names: str, rgb: Rgb = GREY, box: Box = BOX) -> Rgb:
    size = (rgb.shape[1], rgb.shape[0])
    return build_drawing([(name, [box]) for name in names], caption, (160, 96), size).on(rgb)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        pytest.param("дом", "???", id="Cyrillic is not question marks"),
        pytest.param("дом", "тот", id="Cyrillic letters differ"),
        pytest.param("Häuser", "Hauser", id="an accent is drawn"),
        pytest.param("Straße", "Strasse", id="a letter is not replaced"),
        pytest.param("河边的房子", "河边的房屋", id="Chinese letters differ"),
    ],
)
def test_words_come_out_as_written(text: str, other: str) -> None:
    assert not np.array_equal(drawn(text), drawn(other))
    assert not np.array_equal(drawn("", text), drawn("", other))


def test_a_name_keeps_its_colour_also_when_the_one_before_is_not_found() -> None:
    labels = build_labels([("a boat", ()), ("car", (BOX, BOX)), ("a quay", (BOX,))])

    assert [label.name + label.score for label in labels] == ["car 0.91", "car 0.91", "a quay 0.91"]
    assert [label.colour for label in labels] == [COLOURS[n] for n in (1, 1, 2)]


def test_names_of_boxes_at_one_place_do_not_hide_each_other() -> None:
    names = [(f"boat {number}", [BOX]) for number in range(4)]

    patches = build_drawing(names, "", (160, 96), (640, 360)).patches

    labels = [
        Rectangle(p.left, p.top, p.left + p.rgb.shape[1], p.top + p.rgb.shape[0])
        for p in patches
        if (p.rgb == 0).all(-1).any()
    ]
    assert len(labels) == 4
    assert not any(one.overlaps(other) for one, other in combinations(labels, 2))


def test_no_name_stands_under_the_caption() -> None:
    low = Box((10, 90, 150, 95))

    patches = build_drawing([("a boat", [low])], "a quay", (160, 96), (640, 360)).patches

    (bar,) = (patch for patch in patches if patch.kept is not None)
    (label,) = (patch for patch in patches if (patch.rgb == 0).all(-1).any() and patch.kept is None)
    assert label.top + label.rgb.shape[0] <= bar.top


@pytest.mark.parametrize(("height", "thickness"), [(120, 2), (720, 3), (2160, 9)])
def test_lines_grow_with_the_picture(height: int, thickness: int) -> None:
    rgb = np.zeros((height, height * 16 // 9, 3), np.uint8)

    column = drawn("", "a", rgb=rgb, box=Box((40, 60, 120, 90)))[:, height * 16 // 9 // 2]

    (bottom,) = np.flatnonzero(np.all(column == COLOURS[0], -1))[-1:]
    assert (column[bottom - thickness + 1 : bottom + 1] == COLOURS[0]).all()
    assert (column[bottom - thickness] == 0).all()


@pytest.mark.parametrize("height", [96, 360, 1080, 2160])
def test_a_long_caption_fits_the_picture_and_ends_in_dots(height: int) -> None:
    rgb = np.full((height, height * 16 // 9, 3), 100, np.uint8)

    picture = drawn("a very long sentence about boats " * 20, rgb=rgb)

    white = np.all(picture > 200, axis=-1)
    assert white.any()
    assert not white[:, -2:].any()
    assert (picture[: height // 3] == 100).all()


def test_a_caption_without_spaces_is_broken_between_letters() -> None:
    one, three = drawn("河边的房子"), drawn("河边的房子" * 20)

    dark = [int((picture[:, 0] != 100).any(-1).sum()) for picture in (one, three)]
    assert dark[1] > 2 * dark[0]


def test_a_name_wider_than_the_picture_is_shortened_and_keeps_its_score() -> None:
    wide = drawn("", "a name that is far longer than the picture is wide " * 3)

    assert (wide == COLOURS[0]).all(-1).any(0).sum() > 500


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (40, 500), (500, 40)])
def test_pictures_of_odd_sizes_are_drawn_on_too(size: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 100, np.uint8)

    picture = drawn("a quay", "a boat", rgb=rgb)

    assert picture.shape == rgb.shape
    assert (rgb == 100).all()


def test_a_turned_box_is_drawn_along_its_corners() -> None:
    turned = drawn("", "ship", box=Box((40, 30, 120, 70), angle=45))
    line = np.array(COLOURS[0])

    (left, top), (right, bottom), *_ = Box((40, 30, 120, 70), angle=45).corners
    middle = turned[round((top + bottom) / 2 * 360 / 96), round((left + right) / 2 * 640 / 160)]
    upright = turned[round(30 * 360 / 96), round(41 * 640 / 160)]
    assert (middle == line).all()
    assert not (upright == line).all()


def test_a_turned_box_beyond_the_picture_is_cut_off() -> None:
    assert drawn("", "ship", box=Box((-80, -60, 300, 300), angle=30)).shape == GREY.shape
