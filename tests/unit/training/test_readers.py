from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import read_annotations

WriteLines = Callable[[str], Path]


@pytest.fixture
def write_lines(tmp_path: Path) -> WriteLines:
    """Writes an annotation file beside the empty images a.jpg and b.jpg."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()

    def write(text: str) -> Path:
        file = tmp_path / "annotations.jsonl"
        file.write_text(text, "utf-8")
        return file

    return write


def test_a_line_may_say_everything_about_its_image(write_lines: WriteLines) -> None:
    line = {
        "image": "a.jpg",
        "captions": ["two boats  lie at a pier ."],
        "boxes": [
            {"bbox": [1, 2, 30, 40], "label": "boat", "phrase": "the left boat"},
            {"bbox": [50.5, 2, 80, 40], "label": "boat"},
        ],
        "question": "how many boats are there?",
        "answer": "2",
        "class": "harbour",
        "absent": ["a crane"],
    }

    found = read_annotations(write_lines(json.dumps(line) + "\n\n"), "lines", "train")

    assert [item.captions for item in found] == [("two boats lie at a pier .",)]
    assert found[0].objects == (((1, 2, 30, 40), "boat"), ((50.5, 2, 80, 40), "boat"))
    assert found[0].phrases == (("the left boat", (1, 2, 30, 40)),)
    assert found[0].questions == (("how many boats are there?", "2"),)
    assert (found[0].scene, found[0].absent) == ("harbour", ("a crane",))


def test_a_line_without_a_split_is_trained_on(write_lines: WriteLines) -> None:
    file = write_lines(
        '{"image": "a.jpg", "class": "port"}\n{"image": "b.jpg", "class": "farm", "split": "val"}\n'
    )

    found = {split: read_annotations(file, "lines", split) for split in ("train", "val", "all")}

    assert [[item.scene for item in items] for items in found.values()] == [
        ["port"],
        ["farm"],
        ["port", "farm"],
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("{'image': 'a.jpg'}", "not JSON", id="single quotes"),
        pytest.param('["a.jpg"]', "no JSON object", id="a list"),
        pytest.param('{"captions": ["x"]}', '"image" is missing', id="no image"),
        pytest.param('{"image": "c.jpg", "class": "x"}', "there is no image", id="missing file"),
        pytest.param('{"image": "a.jpg"}', "says nothing about the image", id="nothing said"),
        pytest.param('{"image": "a.jpg", "caption": "x"}', '"caption" is not known', id="odd key"),
        pytest.param('{"image": "a.jpg", "captions": "x"}', "list of sentences", id="one caption"),
        pytest.param('{"image": "a.jpg", "question": "x?"}', '"answer" is missing', id="no answer"),
        pytest.param(
            '{"image": "a.jpg", "boxes": [{"bbox": [9, 1, 3, 4], "label": "car"}]}',
            "left < right",
            id="swapped corners",
        ),
        pytest.param(
            '{"image": "a.jpg", "boxes": [{"bbox": [1, 1, true, 4], "label": "car"}]}',
            "in pixels",
            id="no number",
        ),
        pytest.param(
            '{"image": "a.jpg", "boxes": [{"bbox": [1, 2, 3, 4]}]}',
            '"label" is missing',
            id="no label",
        ),
        pytest.param(
            '{"image": "a.jpg", "boxes": [{"bbox": [1, 1, 4, 4], "label": "{car}"}]}',
            "{ cannot be part of a name",
            id="marks in a label",
        ),
        pytest.param(
            '{"image": "a.jpg", "captions": ["half a \\ud83d"]}', "no character", id="surrogate"
        ),
        pytest.param(
            '{"image": "a.jpg", "boxes": [{"bbox": [1, 1, 4, 4], "label": "car"}], '
            '"absent": ["The car"]}',
            '"absent" names "The car", which has a box',
            id="present and absent",
        ),
    ],
)
def test_a_wrong_line_is_named_with_what_to_do(
    write_lines: WriteLines, line: str, says: str
) -> None:
    file = write_lines('{"image": "a.jpg", "class": "port"}\n' + line + "\n")

    with pytest.raises(DataError) as raised:
        read_annotations(file, "lines", "train")

    assert str(raised.value).startswith(f"{file}:2: ")
    assert says in str(raised.value)


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned by its EXIF tag"])
def test_a_box_beside_the_picture_is_named_with_the_size_of_the_picture(
    write_lines: WriteLines, tmp_path: Path, turned: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    Image.new("RGB", (100, 40)).save(tmp_path / "wide.jpg", exif=exif)
    inside, outside = (
        ([10, 50, 30, 90], [50, 10, 90, 30]) if turned else ([50, 10, 90, 30], [10, 50, 30, 90])
    )
    line = '{"image": "wide.jpg", "boxes": [{"bbox": %s, "label": "car"}]}\n'

    read = read_annotations(write_lines(line % inside), "lines", "train")

    assert read[0].objects == ((tuple(map(float, inside)), "car"),)
    with pytest.raises(DataError, match=r":2: \"bbox\" .*nothing of it lies in the image, .* x"):
        read_annotations(write_lines(line % inside + line % outside), "lines", "train")


def test_a_split_that_no_image_belongs_to_is_an_error_that_names_those_there_are(
    write_lines: WriteLines,
) -> None:
    file = write_lines('{"image": "a.jpg", "class": "port", "split": "val"}\n')

    with pytest.raises(DataError, match="no image of split 'train'; there are: val"):
        read_annotations(file, "lines", "train")


WORDS = st.text("abcdefgh", min_size=1, max_size=8)
EDGES = st.lists(st.integers(0, 500), min_size=2, max_size=2, unique=True).map(sorted)
BOXES = st.tuples(EDGES, EDGES).map(lambda e: [e[0][0], e[1][0], e[0][1], e[1][1]])
OBJECTS = st.lists(st.fixed_dictionaries({"bbox": BOXES, "label": WORDS}), min_size=1, max_size=4)
LINE = st.fixed_dictionaries({"image": st.just("a.jpg"), "boxes": OBJECTS, "class": WORDS})


def as_line(item: Annotation) -> dict[str, Any]:
    assert isinstance(item.image, Path)
    boxes = [{"bbox": list(box), "label": label} for box, label in item.objects]
    return {"image": item.image.name, "boxes": boxes, "class": item.scene}


@settings(max_examples=30)
@given(lines=st.lists(LINE, min_size=1, max_size=5))
def test_what_is_written_is_read(write_lines: WriteLines, lines: list[dict[str, Any]]) -> None:
    file = write_lines("".join(json.dumps(line) + "\n" for line in lines))

    found = read_annotations(file, "lines", "train")

    assert [as_line(item) for item in found] == lines


@pytest.fixture
def research(tmp_path: Path) -> Path:
    """A folder in the layout of research sets."""
    (tmp_path / "images").mkdir()
    for name in ("port_1.tif", "farm_2.tif"):
        (tmp_path / "images" / name).touch()
    return tmp_path


def test_captions_come_lower_cased_with_the_class_beside_them(research: Path) -> None:
    entries = [
        {"file": "port_1.tif", "split": "train", "captions": ["A pier .", "a Pier ."]},
        {"file": "farm_2.tif", "split": "val", "captions": ["a field ."]},
    ]
    (research / "captions.json").write_text(json.dumps(entries, indent=1))
    (research / "scene_classes.json").write_text('{"port_1.tif": "Port"}')

    found = read_annotations(research / "captions.json", "captions", "train")

    assert [(item.captions, item.scene) for item in found] == [(("a pier .", "a pier ."), "Port")]


def test_karpathy_files_are_read_past_their_other_keys(research: Path) -> None:
    image = {"filename": "farm_2.tif", "split": "test", "imgid": 1}
    image |= {"sentences": [{"raw": "A field .", "tokens": ["A", "field"]}]}
    file = research / "dataset_x.json"
    file.write_text(json.dumps({"dataset": "x", "images": [image]}))

    found = read_annotations(file, "karpathy", "test")

    assert [item.captions for item in found] == [("a field .",)]


def test_images_may_lie_in_another_folder(research: Path, tmp_path: Path) -> None:
    file = tmp_path / "words" / "captions.json"
    file.parent.mkdir()
    file.write_text('[{"file": "port_1.tif", "split": "val", "captions": ["a pier ."]}]')

    found = read_annotations(file, "captions", "val", research / "images")

    assert [item.image for item in found] == [research / "images" / "port_1.tif"]


def test_a_format_that_is_not_known_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'karpaty' is not known; known are lines, captions, "):
        read_annotations(tmp_path, "karpaty", "all")


def test_images_without_a_box_are_left_out(research: Path) -> None:
    box = {"bbox": [1, 2, 3, 4], "label": "ship"}
    entries = [
        {"file": "port_1.tif", "split": "train", "boxes": [box]},
        {"file": "farm_2.tif", "split": "train", "boxes": []},
    ]
    (research / "annotations.json").write_text(json.dumps(entries))

    found = read_annotations(research / "annotations.json", "boxes", "train")

    assert [item.objects for item in found] == [(((1, 2, 3, 4), "ship"),)]


@pytest.mark.parametrize("kind", ["captions", "boxes"])
def test_an_error_inside_a_list_names_the_line_of_its_entry(research: Path, kind: str) -> None:
    good = {"file": "port_1.tif", "split": "train", "captions": ["x"], "boxes": []}
    file = research / "list.json"
    file.write_text(f"[\n{json.dumps(good)},\n{json.dumps({**good, 'file': 7})}\n]\n")

    with pytest.raises(DataError, match=rf'{file}:3: "file" is 7'):
        read_annotations(file, kind, "train")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('{"file": "x"}', "no list", id="an object"),
        pytest.param('[{"file": "x"', ":1: not JSON", id="cut off"),
        pytest.param("", "no list", id="empty"),
    ],
)
def test_a_file_that_is_no_list_is_refused(research: Path, text: str, says: str) -> None:
    file = research / "list.json"
    file.write_text(text)

    with pytest.raises(DataError, match=says):
        read_annotations(file, "boxes", "train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read: No such file"):
        read_annotations(tmp_path / "nowhere.json", "captions", "train")


def test_the_real_sets_are_read_whole(shared: Path) -> None:
    data = shared / "data"

    captions = read_annotations(data / "rsicd" / "captions.json", "captions", "val")
    ships = read_annotations(data / "boxes" / "ships" / "annotations.json", "boxes", "all")

    assert (len(captions), len({item.scene for item in captions})) == (1094, 31)
    assert sum(len(item.objects) for item in ships) == 1536


def test_scenes_have_a_class_or_captions(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.webp").touch()
    entries = [
        {"file": "a.webp", "split": "train", "scene": "harbour"},
        {"file": "a.webp", "split": "train", "captions": ["A  pier ."], "scene": None},
    ]
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(entries))

    found = read_annotations(file, "scenes", "train")

    assert [(item.scene, item.captions) for item in found] == [("harbour", ()), ("", ("a pier .",))]


def test_boxes_of_drone_frames_are_phrases_because_not_every_object_has_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (320, 180)).save(tmp_path / "images" / "a.webp")
    entry = {
        "file": "a.webp",
        "split": "train",
        "captions": ["one person walks ."],
        "questions": [["is there a car?", "no"]],
        "absent": ["boat"],
        "scene": "square",
        "boxes": [{"bbox": [100, 60, 109, 83], "label": "person"}],
    }
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps([entry]))

    (item,) = read_annotations(file, "flown", "train")

    assert item.upright and item.objects == ()
    assert item.phrases == (("the person", (100, 60, 109, 83)),)
    assert (item.absent, item.questions) == (("the boat",), (("is there a car?", "no"),))
