"""Every public format, read from small files of our own in that layout, and from real ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import DataError, MediaError
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Ask, Caption, Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.turns import KINDS
from skyeye_edge.training.data.collate import IGNORED, Tokenizer
from skyeye_edge.training.data.exam import build_samples
from skyeye_edge.training.data.parts import read_data
from skyeye_edge.training.data.readers import READERS, read_splits
from skyeye_edge.training.data.record import read_rgb
from skyeye_edge.training.data.samples import Samples
from skyeye_edge.training.data.video_frames import VideoFrame
from skyeye_edge.training.recipe import DataRecipe, Recipe, StageRecipe

PICTURES = (  # of the files under tests/data/formats, all 100 x 80 pixels
    "karpathy/quay_1.png",
    "karpathy/farm_2.png",
    "caption_lines/own_images/quay_1.png",
    "caption_lines/own_images/farm_2.png",
    "nwpu_captions/images/sea_ice/sea_ice_001.png",
    "nwpu_captions/images/bridge/bridge_001.png",
    "rsvqa/Images_LR/7.tif",
    "rsvqa/Images_LR/9.tif",
    "rsvqa/Images_LR/0.tif",
    "rsivqa/images/3.tif",
    "rsivqa/images/P0012.png",
    "dior_rsvg/JPEGImages/00001.jpg",
    "dior_rsvg/JPEGImages/00003.jpg",
    "rsvg/images/00001.jpg",
    "dota/train/images/P0001.png",
    "dota/train/images/P0002__1__0___0.png",
    "voc/JPEGImages-trainval/00001.jpg",
    "voc/JPEGImages-test/00002.jpg",
    "visdrone/VisDrone-own-val/images/0001.jpg",
    "visdrone/VisDrone-own-val/images/0002.jpg",
    "coco/images/a.png",
    "coco/images/b.png",
    "yolo/images/train/0001.jpg",
    "yolo/images/val/0002.jpg",
    "nwpu_vhr10/positive image set/001.jpg",
    "conversations/images/own/quay.png",
    "conversations/images/quay.png",
    "vrsbench/Images_train/P0003_0002.png",
    "skyeye/own_images/quay_1.png",
)
NAMES = re.compile(r'"([^"]+\.(?:jpg|tif|mp4))"')
OF_GEOCHAT = "conversations/own_instruct.json"
OURS = (  # format, file, and everything that it says
    ("karpathy", "karpathy/dataset_own.json"),
    ("caption_lines", "caption_lines/own_valid.jsonl"),
    ("nwpu_captions", "nwpu_captions/dataset_nwpu.json"),
    ("rsvqa", "rsvqa"),
    ("rsivqa", "rsivqa/own_train_vqa.txt"),
    ("dior_rsvg", "dior_rsvg/Annotations"),
    ("rsvg", "rsvg/rsvg_test.json"),
    ("conversations", "conversations/own_instruct.json"),
    ("vrsbench", "vrsbench/VRSBench_EVAL_own.json"),
    ("skyeye", "skyeye"),
    ("dota", "dota/train/labelTxt"),
    ("voc", "voc/Annotations"),
    ("visdrone", "visdrone/VisDrone-own-val/annotations"),
    ("coco", "coco/instances_train2017.json"),
    ("yolo", "yolo/labels"),
    ("nwpu_vhr10", "nwpu_vhr10/ground truth"),
)


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skyeye_edge.training.pretrain.vocabulary import train_vocabulary

    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "lmnrst"]
    return train_vocabulary([" ".join(words[n:]) for n in range(40)], file, 480, 100)


@pytest.fixture
def sets(tmp_path: Path, repo: Path) -> Path:
    """A copy of our small files with grey images beside them."""
    folder = tmp_path / "sets"
    shutil.copytree(repo / "tests" / "data" / "formats", folder)
    for name in PICTURES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80), "gray").save(folder / name)
    return folder


def is_text(file: Path) -> bool:
    return file.suffix in (".txt", ".xml", ".json")


Say = Callable[[Annotation], object]


def said(found: list[tuple[str, Annotation]], *says: Say) -> list[tuple[object, ...]]:
    """Split, name of the image, and what else is asked for, of every annotation."""
    return [(split, item.path.name, *(say(item) for say in says)) for split, item in found]


def test_karpathy_sets_are_read_with_their_splits(sets: Path) -> None:
    found = read_splits(sets / "karpathy" / "dataset_own.json", "karpathy")

    assert said(found, lambda item: item.captions) == [
        ("train", "quay_1.png", ("two ferries lie at a long quay .", "a quay with two ferries .")),
        ("test", "farm_2.png", ("fields around a farm .",)),
    ]


def test_caption_lines_take_the_split_from_the_name_of_their_file(sets: Path) -> None:
    found = read_splits(sets / "caption_lines" / "own_valid.jsonl", "caption_lines")

    assert said(found, lambda item: len(item.captions)) == [
        ("val", "quay_1.png", 2),
        ("val", "farm_2.png", 1),
    ]


def test_nwpu_captions_come_with_the_class_they_stand_under(sets: Path) -> None:
    found = read_splits(sets / "nwpu_captions" / "dataset_nwpu.json", "nwpu_captions")

    assert said(found, lambda item: item.scene, lambda item: item.captions[:2]) == [
        ("train", "sea_ice_001.png", "sea ice", ("ice drifts .", "ice on dark water .")),
        ("val", "bridge_001.png", "bridge", ("a bridge .", "a bridge over a river .")),
    ]
    assert [len(item.captions) for _, item in found] == [5, 5]


def test_a_video_with_captions_is_a_clip_of_frames(sets: Path, demo_clip: Path) -> None:
    videos = sets / "capera" / "videos" / "TrafficJam"
    videos.mkdir(parents=True)
    shutil.copy(demo_clip, videos / "TrafficJam_001.mp4")

    [(split, item)] = read_splits(sets / "capera" / "CapERA_own_train.json", "capera")
    frames = [read_rgb(image) for image in item.images]

    assert (split, item.scene, len(item.captions)) == ("train", "traffic jam", 2)
    assert [image.share for image in item.images if isinstance(image, VideoFrame)] == [
        0.125,
        0.375,
        0.625,
        0.875,
    ]
    assert len({frame.shape for frame in frames}) == 1 and frames[0].shape[2] == 3
    assert all((one != other).any() for one, other in pairwise(frames))


def test_a_frame_of_a_clip_is_the_one_that_is_shown_at_its_time(demo_clip: Path) -> None:
    import av

    with av.open(str(demo_clip)) as container:
        pictures = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]

    for place in (0, 7, len(pictures) // 2, len(pictures) - 1):
        frame = read_rgb(VideoFrame(demo_clip, (place + 0.5) / len(pictures)))
        assert np.array_equal(frame, pictures[place])


def test_what_is_no_video_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")

    with pytest.raises(MediaError, match=r"broken\.mp4: not a readable video"):
        read_rgb(VideoFrame(tmp_path / "broken.mp4", 0.5))


def test_rsvqa_joins_its_three_files_and_keeps_the_types(sets: Path) -> None:
    found = read_splits(sets / "rsvqa", "rsvqa")

    assert said(found, lambda item: item.questions, lambda item: item.question_types) == [
        (
            "train",
            "7.tif",
            (("Is a road present?", "yes"), ("How many buildings are there?", "12")),
            ("presence", "count"),
        ),
        ("train", "9.tif", (("Is it a rural or an urban area", "rural"),), ("rural_urban",)),
        ("test_phili", "0.tif", (("What is the area covered by trees?", "10m2"),), ("area",)),
    ]


def test_one_split_of_rsvqa_is_read_alone(sets: Path) -> None:
    found = read_splits(sets / "rsvqa" / "LR_split_train_questions.json", "rsvqa")

    assert [split for split, _ in found] == ["train", "train"]


def test_rsivqa_lines_are_cut_at_colon_and_question_mark(sets: Path) -> None:
    found = read_splits(sets / "rsivqa" / "own_train_vqa.txt", "rsivqa")

    assert said(found, lambda item: item.questions, lambda item: item.question_types) == [
        ("train", "3.tif", (("what is the theme of this picture?", "harbor"),), ("other",)),
        (
            "train",
            "P0012.png",
            (
                ("how many small vehicles are there in this picture?", "15"),
                ("does this picture contain plane?", "no"),
            ),
            ("count", "presence"),
        ),
    ]


def test_sets_of_rsivqa_keep_their_images_apart(sets: Path) -> None:
    folder = sets / "rsivqa"
    for name in ("UCM", "Sydney"):
        (folder / "images" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(folder / "images" / name / "1.tif")
        (folder / name).mkdir()
        (folder / name / "vqa.txt").write_text("1.tif:is there a boat?no\n")

    Image.new("RGB", (9, 9)).save(folder / "images" / "1.tif")  # of whatever set

    near = [item.path for _, item in read_splits(folder, "rsivqa")]
    given = [item.path for _, item in read_splits(folder, "rsivqa", folder / "images")]

    apart = [folder / "images" / name / "1.tif" for name in ("Sydney", "UCM")]
    assert (near[:2], given[:2]) == (apart, apart)


def test_dior_rsvg_counts_objects_over_all_files_in_the_order_of_their_names(sets: Path) -> None:
    found = read_splits(sets / "dior_rsvg" / "Annotations", "dior_rsvg")

    assert said(found, lambda item: item.phrases) == [
        ("train", "00001.jpg", (("a ship near the left edge", (10, 20, 30, 40)),)),
        ("val", "00001.jpg", (("the ship on the right", (60, 20, 90, 40)),)),
        ("train", "00003.jpg", (("a bridge across the whole picture", (0, 30, 100, 50)),)),
    ]


def test_rsvg_records_are_read(sets: Path) -> None:
    found = read_splits(sets / "rsvg" / "rsvg_test.json", "rsvg")

    assert said(found, lambda item: item.phrases) == [
        ("test", "00001.jpg", (("the ship on the right", (60, 20, 90, 40)),)),
        ("test", "00001.jpg", (("the ship on the left", (10, 20, 30, 40)),)),
    ]


def test_conversations_keep_their_order_and_the_angles_of_boxes(sets: Path) -> None:
    found = read_splits(sets / "conversations" / "own_instruct.json", "conversations")

    [conversation] = found[0][1].conversations
    assert [turn.task for turn in conversation] == [
        Ground("white ferry at the quay"),
        Detect("2 small boats"),
        Identify((12, 14, 28, 34)),  # the upright box around the turned one
    ]
    assert [turn.target.words() for turn in conversation] == ["", "", "a white ferry"]
    assert [box.angle for box in conversation[0].target.boxes] == [90]
    assert [box.xyxy for box in conversation[1].target.boxes] == [
        (50, 16, 60, 24),
        (70, 16, 80, 24),
    ]


def test_single_turns_are_phrases_and_questions_as_in_other_sets(sets: Path) -> None:
    found = [each for _, each in read_splits(sets / OF_GEOCHAT, "conversations")]

    assert [item.phrases for item in found[2:]] == [(("the only crane", (10, 16, 30, 32)),), ()]
    assert found[3].questions == (("How many ferries are there?", "1"),)
    assert [len(item.conversations) for item in found] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        pytest.param(
            BoxSpec(),
            "There is <p>a ferry</p> {<10><20><30><40>} near "
            "<p>two boats</p> {<50><20><60><30>}<delim>{<70><20><80><30>}.",
            id="MiniGPT-v2",
        ),
        pytest.param(
            BoxSpec(bins=100, format="normalised"),
            "There is a ferry [0.10, 0.20, 0.30, 0.40] near "
            "two boats [0.50, 0.20, 0.60, 0.30], [0.70, 0.20, 0.80, 0.30].",
            id="lists of shares",
        ),
    ],
)
def test_a_description_with_boxes_is_written_in_any_box_language(
    sets: Path, spec: BoxSpec, answer: str
) -> None:
    [turn] = read_splits(sets / OF_GEOCHAT, "conversations")[1][1].conversations[0]

    assert turn.task == Describe(boxes=True)
    assert turn.written((100, 80), spec)[1] == answer


def test_boxes_inside_questions_and_answers_are_written_in_the_model_s_language(
    sets: Path,
) -> None:
    found = read_splits(sets / "conversations" / "own_lists_test.jsonl", "conversations")
    turns = [item.conversations[0][0].written((100, 80), BoxSpec()) for _, item in found]

    assert [split for split, _ in found] == ["test", "test"]
    assert turns == [
        ("What colour is the ship in {<10><20><30><40>}?", "White."),
        ("Where is the crane?", "It is at {<50><25><75><50>}, near the edge."),
    ]


def test_a_conversation_without_an_image_key_is_about_the_image_of_its_id(sets: Path) -> None:
    [(_, item)] = read_splits(sets / "conversations" / "UCM_Conversa.json", "conversations")

    assert item.path == sets / "conversations" / "images" / "quay.png"
    assert [turn.task for turn in item.conversations[0]] == [Caption(), Ask("is there a crane?")]


def test_places_and_names_of_conversations_are_asked_in_an_evaluation(sets: Path) -> None:
    items = tuple(item for _, item in read_splits(sets / OF_GEOCHAT, "conversations"))

    samples = build_samples(DataSet("own", items), ("ground", "identify"))

    assert [(each.task, each.unanswered.truth, each.unanswered.references) for each in samples] == [
        (Ground("white ferry at the quay"), ((12, 14, 28, 34),), ()),
        (Identify((12, 14, 28, 34)), ((12, 14, 28, 34),), ("a white ferry",)),
        (Ground("the only crane"), ((10, 16, 30, 32),), ()),
    ]


def test_vrsbench_is_read_image_by_image(sets: Path) -> None:
    [(split, item)] = read_splits(sets / "vrsbench" / "Annotations_train", "vrsbench")
    [(phrase, box)] = item.phrases

    assert (split, item.captions) == ("train", ("The image shows a quay with one ferry.",))
    assert (phrase, [round(edge) for edge in box]) == (
        "The white ferry at the quay.",
        [10, 8, 30, 24],
    )
    assert item.questions[0] == ("Is there a ferry?", "Yes")
    assert item.question_types == ("object existence", "object quantity")


def test_vrsbench_lists_for_evaluation_are_read_with_their_types(sets: Path) -> None:
    [(split, item)] = read_splits(sets / "vrsbench" / "VRSBench_EVAL_own.json", "vrsbench")

    assert (split, item.captions) == ("test", ("A quay with a ferry.",))
    assert item.phrases == (("The white ferry at the quay.", (10, 16, 30, 32)),)
    assert item.question_types == ("object quantity",)


def test_skyeye_records_are_what_their_keys_say(sets: Path) -> None:
    found = [item for _, item in read_splits(sets / "skyeye", "skyeye")]

    assert [item.captions for item in found if item.captions] == [("two ferries at a quay .",)]
    assert [item.questions for item in found if item.questions] == [(("how many ferries?", "2"),)]
    assert [item.phrases for item in found if item.phrases] == [
        (("the ferry on the left", (10, 20, 30, 40)),)
    ]
    assert [
        (turn.task, turn.written((100, 80), BoxSpec())[1])
        for item in found
        for turns in item.conversations
        for turn in turns
    ] == [
        (Detect("ferries"), "<p>ferries</p> {<10><20><30><40>}<delim>{<50><20><60><30>}"),
        (Describe(boxes=True), "<p>two ferries</p> {<10><20><30><40>} lie at a quay."),
        (Caption(), "a quay ."),
        (Ask("is it day?"), "yes"),
    ]


def test_dota_corners_become_upright_boxes_and_difficult_objects_are_not_counted(
    sets: Path,
) -> None:
    found = read_splits(sets / "dota" / "train" / "labelTxt", "dota")

    assert said(found, lambda item: item.objects, lambda item: set(item.cut)) == [
        (
            "train",
            "P0001.png",
            (((30, 10, 70, 50), "large vehicle"), ((80, 60, 90, 70), "large vehicle")),
            {"small vehicle"},
        ),
        ("train", "P0002__1__0___0.png", (((5, 5, 15, 15), "plane"),), set()),
    ]


def test_voc_boxes_are_read_upright_and_rotated(sets: Path) -> None:
    found = read_splits(sets / "voc" / "Annotations", "voc")
    boxes = [[(tuple(map(round, box)), label) for box, label in item.objects] for _, item in found]

    assert boxes == [
        [((10, 20, 30, 40), "expressway service area")],
        [((40, 20, 60, 60), "other vehicle"), ((5, 5, 35, 35), "ship")],
    ]
    assert said(found, lambda item: set(item.cut)) == [
        ("train", "00001.jpg", {"golf field"}),
        ("test", "00002.jpg", {"*"}),
    ]


def test_visdrone_regions_that_nobody_annotated_leave_nothing_to_count(sets: Path) -> None:
    folder = sets / "visdrone" / "VisDrone-own-val" / "annotations"

    found = read_splits(folder, "visdrone")

    assert said(found, lambda item: item.objects, lambda item: set(item.cut)) == [
        (
            "val",
            "0001.jpg",
            (((10, 20, 40, 35), "car"), ((60, 20, 70, 50), "pedestrian")),
            {"bus"},
        ),
        ("val", "0002.jpg", (((10, 20, 40, 35), "motorcycle"),), {"*"}),
    ]


def test_coco_files_hold_boxes_captions_or_both(sets: Path) -> None:
    found = read_splits(sets / "coco" / "instances_train2017.json", "coco")

    assert said(found, lambda i: i.objects, lambda i: i.captions, lambda i: set(i.cut)) == [
        ("train", "a.png", (((10, 20, 40, 35), "storage tank"),), (), {"person"}),
        ("val", "b.png", (), ("two boats at a pier",), set()),
    ]


def test_yolo_shares_become_pixels(sets: Path) -> None:
    found = read_splits(sets / "yolo" / "labels", "yolo")
    boxes = [[(tuple(map(round, box)), label) for box, label in item.objects] for _, item in found]

    assert boxes == [
        [((40, 20, 60, 60), "car"), ((10, 8, 30, 16), "long vehicle")],
        [((0, 0, 50, 40), "long vehicle")],
    ]
    assert [split for split, _ in found] == ["train", "val"]


def test_one_folder_of_yolo_labels_finds_its_images(sets: Path) -> None:
    [(split, item)] = read_splits(sets / "yolo" / "labels" / "val", "yolo")

    assert (split, item.path) == ("val", sets / "yolo" / "images" / "val" / "0002.jpg")


def test_nwpu_vhr10_lines_are_corners_and_class(sets: Path) -> None:
    found = read_splits(sets / "nwpu_vhr10" / "ground truth", "nwpu_vhr10")

    assert said(found, lambda item: item.objects) == [
        ("train", "001.jpg", (((10, 20, 30, 40), "airplane"), ((50, 10, 90, 60), "vehicle")))
    ]


@pytest.mark.parametrize(("kind", "name"), OURS, ids=[kind for kind, _ in OURS])
def test_a_set_without_its_images_is_told_by_file_and_line(
    sets: Path, kind: str, name: str
) -> None:
    for picture in PICTURES:
        (sets / picture).unlink()

    with pytest.raises(DataError, match=rf"^{sets}/.*:\d+: .*there is no image .*`images` names"):
        read_splits(sets / name, kind)


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "says"),
    [
        pytest.param(
            "karpathy", "karpathy/dataset_own.json", '"a quay with two ferries ."', '""',
            r':2: .*"raw" is ""; give some words', id="empty caption",
        ),
        pytest.param(
            "karpathy", "karpathy/dataset_own.json", '{"raw": "fields', '{"raw" "fields',
            ":6: not JSON", id="broken JSON",
        ),
        pytest.param(
            "caption_lines", "caption_lines/own_valid.jsonl", "fields around", "field " * 10_000,
            r':2: "captions" has 10,003 words .*more than 2,000', id="a caption of 10,000 words",
        ),
        pytest.param(
            "nwpu_captions", "nwpu_captions/dataset_nwpu.json", '"raw": "a bridge ."', '"raw": 7',
            r':6: "raw" is 7; give some words', id="a number for a caption",
        ),
        pytest.param(
            "rsvqa", "rsvqa/LR_split_train_answers.json", '"12"', '"  "',
            r'answers.json:3: "answer" is "  "', id="empty answer",
        ),
        pytest.param(
            "rsvqa", "rsvqa/LR_split_train_answers.json", '"question_id": 3', '"question_id": 4',
            "questions.json:5: question 3 has no answer", id="question without answer",
        ),
        pytest.param(
            "rsvqa", "rsvqa/LR_split_train_images.json", '"id": 9', '"id": 10',
            "image 9 has questions", id="image that is not listed",
        ),
        pytest.param(
            "rsivqa", "rsivqa/own_train_vqa.txt", "plane?no", "plane no",
            ":3: .* is no question; lines are image:question.answer", id="no question mark",
        ),
        pytest.param(
            "rsivqa", "rsivqa/own_train_vqa.txt", "picture?15", "picture?",
            ':2: "answer" is ""', id="no answer",
        ),
        pytest.param(
            "dior_rsvg", "dior_rsvg/Annotations/00001.xml", "<xmax>90", "<xmax>50",
            r"00001.xml:14: <bndbox>: .*left < right", id="XML corners swapped",
        ),
        pytest.param(
            "dior_rsvg", "dior_rsvg/train.txt", "2", "7",
            "name object 7, but there are 3 in 2 XML files", id="too few XML files",
        ),
        pytest.param(
            "dior_rsvg", "dior_rsvg/Annotations/00003.xml", "</object>", "</objekt>",
            "00003.xml:8: not XML: mismatched tag", id="broken XML",
        ),
        pytest.param(
            "rsvg", "rsvg/rsvg_test.json", "[10, 20, 30, 40]", "[110, 20, 130, 40]",
            ":3: .*nothing of it lies in the image, 100 x 80", id="box outside",
        ),
        pytest.param(
            "dota", "dota/train/labelTxt/P0001.txt", "80 60 90 60", "80 60 90 x",
            "P0001.txt:5: 'x' is no number", id="DOTA: no number",
        ),
        pytest.param(
            "dota", "dota/train/labelTxt/P0001.txt", "80 70 large-vehicle 0", "80 70",
            "P0001.txt:5: 8 words; lines are x1 y1", id="DOTA: no label",
        ),
        pytest.param(
            "voc", "voc/Annotations/horizontal/00001.xml", "<xmin>10", "<xmin>ten",
            '00001.xml:7: <bndbox>: "xmin" is "ten"', id="VOC: no number",
        ),
        pytest.param(
            "voc", "voc/Annotations/oriented/00002.xml", "<annotation>",
            '<!DOCTYPE a [<!ENTITY b "c">]><annotation>',
            "00002.xml:1: entities are not read", id="XML bomb",
        ),
        pytest.param(
            "visdrone", "visdrone/VisDrone-own-val/annotations/0001.txt", "30,15,1", "-30,15,1",
            "0001.txt:1: .*left < right", id="VisDrone: negative width",
        ),
        pytest.param(
            "coco", "coco/instances_train2017.json", "[10, 20, 30, 15]", "[10, 20, -30, 15]",
            ":3: .*left < right", id="COCO: negative width",
        ),
        pytest.param(
            "coco", "coco/instances_train2017.json", '"category_id": 2', '"category_id": 9',
            ":3: category 9 is not in the list", id="COCO: unknown category",
        ),
        pytest.param(
            "coco", "coco/instances_train2017.json", '"image_id": 6', '"image_id": 8',
            ":5: image 8 is not in the list", id="COCO: unknown image",
        ),
        pytest.param(
            "yolo", "yolo/labels/val/0002.txt", "1 0.25", "2 0.25",
            "0002.txt:1: class 2 has no name; there are 2", id="YOLO: unknown class",
        ),
        pytest.param(
            "yolo", "yolo/labels/val/0002.txt", "0.25 0.25", "1.25 0.25",
            "0002.txt:1: .*lies in the image, 100 x 80", id="YOLO: outside",
        ),
        pytest.param(
            "conversations", "conversations/own_instruct.json", "{<10><20><30><40>|<90>}",
            "{<77><981><83><100>|<29>}", ":2: .*no area or is not from 0 to 100", id="box beyond",
        ),
        pytest.param(
            "conversations", "conversations/own_instruct.json", "{<10><20><30><40>|<0>}",
            "{<30><20><10><40>|<0>}", ":9: .*no area or is not from 0", id="box turned round",
        ),
        pytest.param(
            "conversations", "conversations/own_instruct.json", "{<10><20><30><40>}",
            "{<10><20><30>", ':12: a box is broken: "...{<10><20><30>"', id="broken box",
        ),
        pytest.param(
            "conversations", "conversations/own_instruct.json", '"value": "1"', '"value": " "',
            ':15: .*"value" is " "; give some words', id="empty answer of a turn",
        ),
        pytest.param(
            "conversations", "conversations/own_instruct.json", '"from": "gpt", "value": "1"',
            '"from": "human", "value": "1"', ':15: .*"from" is not human and gpt', id="two askers",
        ),
        pytest.param(
            "vrsbench", "vrsbench/VRSBench_EVAL_own.json", "{<10><20><30><40>}", "none",
            ':2: "ground_truth" has 0 boxes', id="no box to find",
        ),
        pytest.param(
            "skyeye", "skyeye/vqa/OwnVqa_train.json", '"answer": "2"', '"answer": null',
            'train.json:2: "answer" is missing', id="record without an answer",
        ),
        pytest.param(
            "skyeye", "skyeye/vg/own.json", "[10, 20, 30, 40]", "[10, 20, 5, 40]",
            "own.json:2: .*left < right", id="corners of an expression swapped",
        ),
        pytest.param(
            "nwpu_vhr10", "nwpu_vhr10/ground truth/001.txt", "(30,40)", "(5,40)",
            "001.txt:1: .*left < right", id="VHR-10: corners swapped",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_and_line(
    sets: Path, kind: str, name: str, old: str, new: str, says: str
) -> None:
    text = (sets / name).read_text("utf-8")
    assert old in text
    (sets / name).write_text(text.replace(old, new), "utf-8")

    with pytest.raises(DataError, match=says):
        read_splits(sets / dict(OURS)[kind], kind)


@pytest.mark.parametrize(("kind", "name"), OURS, ids=[kind for kind, _ in OURS])
def test_every_set_can_be_learnt_from(
    sets: Path, tmp_path: Path, tokenizer_file: Path, kind: str, name: str
) -> None:
    part = DataRecipe("own", kind, sets / name, split="all", hold_out=0)
    stage = StageRecipe("only", steps=8)
    recipe = Recipe("x", tmp_path, tmp_path, (part,), (stage,), length=2000)
    data = [read_data(part, seed=1).trained]
    spec = ModelSpec(VisionSpec(56, 4, 64), boxes=BoxSpec(absent="not here"))

    samples = Samples(recipe, stage, data, spec, Tokenizer(tokenizer_file))

    for number in range(len(samples)):
        sample = samples[number]
        assert sample.pixels.shape == (1, 3, 56, 56)
        assert any(label != IGNORED for label in sample.labels)


def test_a_video_is_learnt_from_as_frames_behind_each_other(
    sets: Path, tmp_path: Path, tokenizer_file: Path, demo_clip: Path
) -> None:
    (sets / "capera" / "videos").mkdir()
    shutil.copy(demo_clip, sets / "capera" / "videos" / "TrafficJam_001.mp4")
    part = DataRecipe("era", "capera", sets / "capera" / "CapERA_own_train.json", hold_out=0)
    part = replace(part, tasks={"caption": 1, "event": 1}, frames=3)
    stage = StageRecipe("only", steps=4)
    recipe = Recipe("x", tmp_path, tmp_path, (part,), (stage,), length=2000)
    data = [read_data(part, seed=1).trained]

    spec = ModelSpec(VisionSpec(56, 4, 64))
    samples = Samples(recipe, stage, data, spec, Tokenizer(tokenizer_file))

    assert [samples[number].pixels.shape for number in range(4)] == [(3, 3, 56, 56)] * 4


def test_an_image_of_another_set_is_not_taken_for_a_missing_one(sets: Path) -> None:
    (sets / "karpathy" / "own_images").mkdir()
    (sets / "images").mkdir()
    (sets / "karpathy" / "quay_1.png").rename(sets / "images" / "quay_1.png")

    with pytest.raises(DataError, match=r"there is no image .*own_images/quay_1\.png"):
        read_splits(sets / "karpathy" / "dataset_own.json", "karpathy")


def test_real_numbers_of_dior_rsvg_choose_their_objects(shared: Path, tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "1.jpg")
    thing = (
        "<object><name>ship</name><pose/><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox><description>ship {}</description></object>"
    )
    for file in range(50):
        things = "".join(thing.format(10 * file + place) for place in range(10))
        text = f"<annotation><filename>1.jpg</filename>{things}</annotation>"
        (tmp_path / f"{file:05}.xml").write_text(text)
    numbers = shared / "data" / "formats" / "dior_rsvg_splits" / "val_head.txt"
    shutil.copy(numbers, tmp_path / "val.txt")

    found = read_splits(tmp_path, "dior_rsvg")

    phrases = [words for _, item in found for words, _ in item.phrases]
    assert phrases == [f"ship {number}" for number in numbers.read_text().split()]


@pytest.mark.parametrize(("kind", "name"), OURS, ids=[kind for kind, _ in OURS])
def test_a_file_that_was_cut_off_anywhere_is_read_or_refused(
    sets: Path, kind: str, name: str
) -> None:
    path = sets / name
    files = [path] if path.is_file() else [each for each in path.rglob("*.*") if is_text(each)]
    file = max(files, key=lambda each: each.stat().st_size)
    text = file.read_bytes()
    whole = read_splits(path, kind)

    for place in range(0, len(text), 1 + len(text) // 40):
        file.write_bytes(text[:place])
        try:
            found = read_splits(path, kind)
        except DataError as error:
            assert str(error)
        else:
            assert len(found) <= len(whole)


def test_questions_are_read_without_a_look_at_their_images(sets: Path) -> None:
    for image in (sets / "rsvqa" / "Images_LR").iterdir():
        image.write_bytes(b"")

    assert len(read_splits(sets / "rsvqa", "rsvqa")) == 3


def test_names_of_yolo_are_numbered_without_gaps(sets: Path) -> None:
    (sets / "yolo" / "data.yaml").write_text("names: {0: car, 2: van}")

    with pytest.raises(DataError, match=r"data\.yaml: `names` are not numbered from 0 up"):
        read_splits(sets / "yolo" / "labels", "yolo")


def test_records_of_one_line_are_told_apart_by_their_number(sets: Path) -> None:
    file = sets / "karpathy" / "dataset_own.json"
    file.write_text(file.read_text("utf-8").replace("\n", " ").replace("quay with", "\\ud800"))
    with pytest.raises(DataError, match=r'json:1: "raw" is .* is no character'):
        read_splits(file, "karpathy")
    file.write_text(file.read_text("utf-8").replace("\\ud800", "").replace('"test"', "1"))

    with pytest.raises(DataError, match=r'json:1: images\[1\]: "split" is 1'):
        read_splits(file, "karpathy")


def pictures_of(sample: Path) -> set[str]:
    """Names of all images that a real file mentions, or that its files are about."""
    if sample.is_dir():
        return {f"{file.stem}.jpg" for file in sample.iterdir()}
    return {Path(name).name for name in NAMES.findall(sample.read_text("utf-8"))}


@pytest.mark.parametrize(
    ("kind", "name", "captions", "boxes"),
    [
        ("karpathy", "sydney_captions_json/dataset_sydney_modified_4.json", 20, 0),
        ("caption_lines", "rsicd_jsonl/textaug_valid_4.jsonl", 20, 0),
        ("coco", "rsicd_coco_captions_json/captions_4.json", 20, 0),
        ("coco", "ucm_captions_coco_json/ucm_3.json", 15, 0),
        ("coco", "nwpu_vhr10_coco_json/instances_2.json", 0, 8),
        ("coco", "hit_uav_coco_json/train_3.json", 0, 23),
        ("voc", "hrrsd_voc_xml", 0, 4),
        ("voc", "hit_uav_voc_xml", 0, 55),
        ("voc", "hit_uav_rotated_xml", 0, 16),
        ("dota", "dota_txt", 0, 89),
        ("yolo", "yolo_txt_simd", 0, 21),
        ("nwpu_vhr10", "nwpu_vhr10_txt", 0, 13),
        ("capera", "capera_json/CapERA_train_6.json", 30, 0),
    ],
)
def test_real_files_are_read_whole(
    shared: Path, tmp_path: Path, kind: str, name: str, captions: int, boxes: int
) -> None:
    sample = shared / "data" / "formats" / name
    Image.new("L", (2000, 2000)).save(tmp_path / "any.jpg")
    for picture in pictures_of(sample):
        shutil.copy(tmp_path / "any.jpg", tmp_path / picture)

    found = read_splits(sample, kind, tmp_path)

    assert sum(len(item.captions) for _, item in found) == captions
    assert sum(len(item.objects) for _, item in found) == boxes


def test_every_format_has_a_test() -> None:
    assert {kind for kind, _ in OURS} | {
        "lines",
        "captions",
        "boxes",
        "capera",
        "scenes",
        "flown",
    } == set(READERS)


@pytest.mark.parametrize(
    ("names", "page"),
    [(tuple(READERS), "data.md"), (KINDS, "data.md")],
    ids=["formats", "kinds of turns"],
)
def test_every_name_that_a_recipe_may_use_stands_in_the_docs(
    repo: Path, names: tuple[str, ...], page: str
) -> None:
    text = (repo / "docs" / page).read_text("utf-8")

    assert [name for name in names if f"`{name}`" not in text] == []
