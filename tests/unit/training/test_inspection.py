from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.inspection.examples import draw_examples
from skyeye_edge.training.data.inspection.findings import Finding, check, read_entries
from skyeye_edge.training.data.inspection.likeness import Likeness, likeness, same_pictures
from skyeye_edge.training.data.inspection.sources import (
    Source,
    choose,
    read_encoder,
    read_sources,
    readable,
)
from skyeye_edge.training.data.inspection.statistics import draw_chart, statistics
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.synthetic import render_scene

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an annotation file beside the drawn scenes 0.png to 3.png."""
    for seed in range(4):
        render_scene(seed, size=96).image.save(tmp_path / f"{seed}.png")

    def to_file(*lines: dict[str, Any] | str, name: str = "own.jsonl") -> Path:
        file = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("".join(f"{text}\n" for text in texts))
        return file

    return to_file


def found_in(file: Path, *against: Path) -> list[Finding]:
    entries, wrong = read_entries([Source("own", file, "lines")])
    others = [Source(path.name, path, "lines") for path in against]
    return wrong + check(entries, others).findings


def copied(image: Image.Image, seed: int) -> Image.Image:
    """Cut by up to 5 % at each side, resized, and encoded again as a poor JPEG."""
    chance = random.Random(seed)
    width, height = image.size
    left, top, right, bottom = (chance.uniform(0, 0.05) for _ in range(4))
    cut = image.crop(
        (
            round(left * width),
            round(top * height),
            round((1 - right) * width),
            round((1 - bottom) * height),
        )
    )
    scale = chance.uniform(0.6, 1.4)
    stream = io.BytesIO()
    cut.resize((round(cut.width * scale), round(cut.height * scale))).save(
        stream, "JPEG", quality=chance.randint(50, 90)
    )
    return Image.open(stream)


def test_clean_data_have_no_findings(write: Write) -> None:
    file = write(
        {"image": "0.png", "captions": ["a field ."]},
        {"image": "1.png", "boxes": [{"bbox": [1, 2, 30, 40], "label": "car"}], "split": "val"},
    )

    assert found_in(file) == []


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        pytest.param('{"image": "0.png", "captions": ["a', "entry", "not JSON", id="broken JSON"),
        pytest.param("[]", "entry", "no JSON object", id="a list"),
        pytest.param(
            {"image": "9.png", "captions": ["a"]}, "entry", "no image", id="missing image"
        ),
        pytest.param(
            {"image": "0.png", "question": "what?", "answer": " "}, "entry", "answer", id="no words"
        ),
        pytest.param(
            {"image": "0.png", "boxes": [{"bbox": [9, 1, 3, 4], "label": "car"}]},
            "entry",
            "left < right",
            id="swapped corners",
        ),
        pytest.param(
            {"image": "0.png", "boxes": [{"bbox": [300, 1, 330, 4], "label": "car"}]},
            "entry",
            "nothing of it lies in the image",
            id="a box outside",
        ),
        pytest.param(
            {"image": "0.png", "boxes": [{"bbox": [90, 1, 130, 40], "label": "car"}]},
            "box",
            "'car': [90, 1, 130, 40] leaves the image, 96 x 96",
            id="a box half outside",
        ),
        pytest.param(
            {"image": "0.png", "captions": ["word " * 10_000]}, "entry", "10,000 words", id="huge"
        ),
        pytest.param(
            {"image": "0.png", "captions": ["word " * 600]}, "long", "600 words", id="long"
        ),
    ],
)
def test_what_is_wrong_is_found_with_its_line_and_the_rest_is_looked_at(
    write: Write, line: dict[str, Any] | str, kind: str, says: str
) -> None:
    good = {"image": "1.png", "captions": ["a field ."]}
    late = {"image": "2.png", "boxes": [{"bbox": [0, 0, 400, 9], "label": "bus"}]}

    file = write(good, line, good, late)
    first, last = sorted(found_in(file), key=lambda finding: finding.place)

    assert (first.place, first.kind) == (f"{file}:2", kind)
    assert says in first.says
    assert last.place == f"{file}:4" and "'bus'" in last.says


def test_a_truncated_image_is_found_with_its_line(write: Write, tmp_path: Path) -> None:
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(whole[: len(whole) // 2])

    (finding,) = found_in(write({"image": "0.png", "captions": ["a field ."]}))

    assert (finding.kind, finding.to_json()["line"]) == ("image", 1)
    assert "0.png" in finding.says


def test_the_same_file_in_two_splits_is_a_leak(write: Write) -> None:
    line = {"image": "0.png", "captions": ["a field ."]}

    (finding,) = found_in(write(line, {"image": "1.png", "class": "a"}, {**line, "split": "test"}))

    assert finding.kind == "leak" and finding.place.endswith(":3")
    assert "is the same file as 0.png (train)" in finding.says and "own.jsonl:1" in finding.says


def test_files_without_splits_are_told_apart_by_their_names(write: Write) -> None:
    lines = [{"image": f"{n}.png", "captions": ["a field ."]} for n in range(3)]
    paths = [write(*lines[:2], name="train.jsonl"), write(*lines[1:], name="test.jsonl")]

    entries, _ = read_entries([Source(path.name, path, "lines") for path in paths])
    (finding,) = check(entries).findings

    assert (finding.kind, finding.place) == ("leak", f"{paths[1]}:1")


def test_a_cut_and_poorer_copy_in_a_test_folder_is_a_leak(write: Write, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    copied(Image.open(tmp_path / "2.png"), seed=1).save(tmp_path / "test" / "other_name.jpg")
    render_scene(77, size=96).image.save(tmp_path / "test" / "fresh.png")
    lines = [{"image": f"{n}.png", "captions": ["a field ."]} for n in range(4)]

    (finding,) = found_in(write(*lines), tmp_path / "test")

    assert finding.place.endswith("own.jsonl:3")
    assert "2.png (train) shows the same as other_name.jpg" in finding.says


def test_copies_of_real_images_are_found_and_different_ones_are_not(shared: Path) -> None:
    files = [
        file
        for name in ("rsicd", "boxes/nwpu_vhr10", "boxes/hit_uav", "boxes/aerial_ships")
        for file in sorted((shared / "data" / name / "images").iterdir())[::97][:5]
    ]
    whole = [Image.open(file).convert("RGB") for file in files]
    ours = [likeness(np.asarray(image)) for image in whole]
    theirs = [likeness(np.asarray(copied(image, n))) for n, image in enumerate(whole)]

    found = {(one, other) for one, other, _ in same_pictures(ours, theirs)}

    assert found == {(number, number) for number in range(len(files))}


def test_straight_coasts_are_different_pictures_and_one_stadium_is_the_same(shared: Path) -> None:
    def side(*names: str) -> list[Likeness]:
        folder = shared / "data" / "rsicd" / "images"
        images = [Image.open(folder / f"{name}.webp").convert("RGB") for name in names]
        return [likeness(np.asarray(image)) for image in images]

    train, val = side("beach_295", "beach_34", "stadium_100"), side("beach_87", "stadium_95")

    assert [(one, other) for one, other, _ in same_pictures(train, val)] == [(2, 1)]


def test_ground_without_any_detail_is_like_nothing() -> None:
    flat = likeness(np.full((60, 80, 3), 90, np.uint8))

    assert list(same_pictures([flat], [flat])) == []


def test_statistics_count_words_boxes_and_tokens() -> None:
    car: tuple[XYXY, str] = ((0, 0, 20, 45), "car")
    items = [
        Annotation((Path("a.png"),), ("a car .", "one car here ."), objects=(car, car)),
        Annotation((Path("a.png"),), questions=(("how many cars?", "2"),), scene="road"),
    ]

    told = statistics(
        [Found("x:1", "train", item) for item in items],
        encode=lambda text: [ord(letter) for letter in text],
    )["train"]

    assert (told.entries, told.images) == (2, 1)
    assert told.tasks == {"caption": 2, "question": 1, "answer": 1, "class": 1, "box": 2}
    assert (told.words["caption"].mean, told.words["caption"].most) == (3.5, 4)
    assert told.tokens["answer"].most == 1
    assert told.boxes == {"small": 2, "medium": 0, "large": 0} and told.labels == {"car": 2}
    assert told.box_side is not None and told.box_side.median == 30


def test_charts_and_examples_are_drawn_also_of_what_cannot_be_read(
    write: Write, tmp_path: Path
) -> None:
    box = {"bbox": [1, 2, 30, 40], "label": "car", "phrase": "the $5 car"}
    file = write(
        {"image": "0.png", "boxes": [box], "captions": ["a car ."], "class": "road"},
        {"image": "1.png", "captions": ["x ."]},
    )
    (tmp_path / "1.png").write_bytes(b"no image")
    found = readable(Source("own", file, "lines"))

    chart = draw_chart(found, tmp_path / "chart.png")
    sheet = draw_examples([each.item for each in found], tmp_path / "sheet.jpg")

    assert Image.open(chart).size == (1100, 700)
    red, _, blue = np.asarray(Image.open(sheet), int).transpose(2, 0, 1)
    assert (red - blue > 150).any()  # the phrase's orange edges


def test_a_seed_chooses_the_same_entries(write: Write) -> None:
    lines = [{"image": f"{n % 4}.png", "captions": [f"number {n}"]} for n in range(20)]
    found = readable(Source("own", write(*lines), "lines"))

    chosen = [each.item.captions for each in choose(found, 5, seed=3)]

    assert chosen == [each.item.captions for each in choose(found, 5, seed=3)]
    assert chosen != [each.item.captions for each in choose(found, 5, seed=4)]
    assert len(choose(found, None, 0)) == len(choose(found, 50, 0)) == 20


def test_a_split_that_is_not_there_is_named_with_those_that_are(write: Write) -> None:
    file = write({"image": "0.png", "captions": ["a"]}, {"image": "1.png", "class": "b"})

    with pytest.raises(DataError, match="no entry of split 'test'; there are: train"):
        readable(Source("own", file, "lines"), "test")


def test_what_is_no_tokenizer_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.model: no tokenizer"):
        read_encoder(tmp_path)


def test_the_data_of_a_recipe_are_looked_at(write: Write, tmp_path: Path) -> None:
    write({"image": "0.png", "captions": ["a field ."]})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: x\nbase: b\nrun: r\nstages: [{name: s, steps: 1}]\n"
        "data:\n- {name: mine, format: lines, path: own.jsonl}\n"
        "- {name: drawn, format: synthetic, scenes: 2}\n"
    )

    (source,) = read_sources([recipe], "lines", None)

    assert (source.name, len(readable(source))) == ("mine", 1)
