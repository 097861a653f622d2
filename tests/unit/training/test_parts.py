from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.parts import read_data
from skyeye_edge.training.recipe import DataRecipe


@pytest.fixture
def ten_lines(tmp_path: Path) -> Path:
    """Ten different images; no split is stated."""
    chance = np.random.default_rng(0)
    lines = []
    for number in range(10):
        pixels = chance.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 60)).save(tmp_path / f"{number}.png")
        lines.append({"image": f"{number}.png", "captions": [f"picture {number} ."]})
    file = tmp_path / "annotations.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_tenth_of_the_images_is_held_out(ten_lines: Path) -> None:
    parts = read_data(DataRecipe("own", "lines", ten_lines), seed=1)

    sides = [{item.image for item in side.annotations} for side in (parts.trained, parts.held_out)]
    assert [len(side) for side in sides] == [9, 1]
    assert not sides[0] & sides[1]


def test_where_the_file_names_validation_images_those_are_held_out(ten_lines: Path) -> None:
    lines = ten_lines.read_text().splitlines()
    stated = [line.replace("}", ', "split": "val"}') for line in lines[:4]]
    ten_lines.write_text("\n".join([*stated, *lines[4:]]))

    parts = read_data(DataRecipe("own", "lines", ten_lines), seed=1)

    held = [item.captions[0] for item in parts.held_out.annotations]
    assert held == [f"picture {number} ." for number in range(4)]
    assert len(parts.trained.annotations) == 6


def test_all_images_are_trained_on_where_none_is_to_be_held_out(ten_lines: Path) -> None:
    parts = read_data(DataRecipe("own", "lines", ten_lines, hold_out=0.0), seed=1)

    assert (len(parts.trained.annotations), parts.held_out.annotations) == (10, ())


def test_labels_that_a_set_boxes_in_part_are_unsure_in_every_image(ten_lines: Path) -> None:
    parts = read_data(DataRecipe("own", "lines", ten_lines, unsure=("car",)), seed=1)

    items = [*parts.trained.annotations, *parts.held_out.annotations]
    assert all(item.cut == {"car"} for item in items)


def test_drawn_scenes_need_no_file(tmp_path: Path) -> None:
    parts = read_data(DataRecipe("drawn", "synthetic", scenes=3), seed=1)

    assert len(parts.trained.annotations) == 3
    assert all(item.captions and item.questions for item in parts.trained.annotations)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def with_bad_ones(ten_lines: Path) -> Path:
    """Of the ten, image 2 ends too soon, 3 is missing, and line 7 is no JSON."""
    folder = ten_lines.parent
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "3.png").unlink()
    lines = ten_lines.read_text().splitlines()
    lines[6] = lines[6][:-2]
    ten_lines.write_text("\n".join(lines))
    return ten_lines


def test_what_cannot_be_read_ends_a_run_before_it_begins(with_bad_ones: Path) -> None:
    with pytest.raises(DataError) as raised:
        read_data(DataRecipe("own", "lines", with_bad_ones), seed=1)

    says = str(raised.value)
    assert says.startswith(f"{with_bad_ones}:4: there is no image")
    assert "and 2 more" in says and "`skip_unreadable: true`" in says


def test_where_the_recipe_allows_it_what_cannot_be_read_is_left_out_and_told(
    with_bad_ones: Path,
) -> None:
    recipe = DataRecipe("own", "lines", with_bad_ones, hold_out=0.0)

    parts = read_data(recipe, seed=1, skip=True)

    told = [each.removeprefix(f"{with_bad_ones}:").partition(":")[0] for each in parts.left_out]
    assert sorted(told) == ["3", "4", "7"]
    kept = [item.captions[0] for item in parts.trained.annotations]
    assert kept == [f"picture {number} ." for number in (0, 1, 4, 5, 7, 8, 9)]


def test_a_run_that_goes_on_leaves_out_what_it_left_out_before(with_bad_ones: Path) -> None:
    recipe = DataRecipe("own", "lines", with_bad_ones, hold_out=0.0)
    first = read_data(recipe, seed=1, skip=True)
    Image.new("RGB", (60, 60)).save(with_bad_ones.parent / "2.png")  # mended meanwhile

    again = read_data(recipe, seed=1, skip=True, known=first.left_out)

    assert names_of(again) == names_of(first)
    assert set(again.left_out) == set(first.left_out)


def test_a_file_that_is_missing_is_no_entry_to_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_data(DataRecipe("own", "lines", tmp_path / "none.jsonl"), seed=1, skip=True)


def names_of(parts: Any) -> list[str]:
    return [item.image.name for item in parts.trained.annotations]
