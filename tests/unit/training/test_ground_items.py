"""Annotated boxes become phrases to ground, present and absent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.ground_items import read_ground_items

CAR, BOAT = [1, 2, 60, 80], [5, 5, 20, 20]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.new("RGB", (100, 90)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def boxes(folder: Path, name: str, entries: Sequence[tuple[str, str, list[Any]]]) -> Path:
    file = folder / name
    values = [
        {"file": f"{image}.png", "split": split,
         "boxes": [{"bbox": box, "label": label} for box, label in objects]}
        for image, split, objects in entries
    ]  # fmt: skip
    file.write_text(json.dumps(values))
    return file


def test_a_label_means_a_region_where_it_is_there_once(folder: Path) -> None:
    file = boxes(folder, "a.json", [
        ("a", "val", [(CAR, "car"), (BOAT, "boat"), (BOAT, "boat")]),
        ("b", "val", [(BOAT, "pond"), (CAR, "mill")]),
    ])  # fmt: skip

    first, second = read_ground_items([file])

    assert (first.image, first.size) == (folder / "images" / "a.png", (100, 90))
    assert first.present == (("the car", tuple(map(float, CAR))),)
    assert first.absent == ("the mill",)
    assert second.absent == ("the boat", "the car")


def test_held_out_images_go_before_all_others(folder: Path) -> None:
    one = boxes(folder, "a.json", [("a", "train", [(CAR, "car")]), ("b", "val", [(CAR, "boat")])])
    other = boxes(folder, "b.json", [("c", "train", [(CAR, "car")])])

    assert [item.image for item in read_ground_items([one, other])] == [folder / "images/b.png"]
    assert [item.image for item in read_ground_items([other])] == [folder / "images/c.png"]


def test_lines_of_our_own_state_phrases_and_what_is_absent(folder: Path) -> None:
    file = folder / "own.jsonl"
    lines = [
        {"image": "images/a.png", "boxes": [{"bbox": CAR, "label": "car", "phrase": "a red car"}]},
        {"image": "images/b.png", "absent": ["a helicopter"]},
        {"image": "images/c.png", "class": "harbour"},
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines))

    first, second = read_ground_items([file])

    assert [words for words, _ in first.present] == ["the car", "a red car"]
    assert (second.present, second.absent) == ((), ("a helicopter",))


def test_a_file_without_anything_to_ask_is_an_error(folder: Path) -> None:
    file = boxes(folder, "a.json", [("a", "val", [(CAR, "car"), (BOAT, "car")])])

    with pytest.raises(DataError, match="nothing to ask"):
        read_ground_items([file])
