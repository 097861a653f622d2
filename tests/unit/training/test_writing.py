from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skyeye_edge.core.boxes import Box, BoxSpec
from skyeye_edge.core.results import PLACE, DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import Found, read_found
from skyeye_edge.training.data.record import ImageSource, Turn, read_rgb
from skyeye_edge.training.data.video_frames import VideoFrame, clip_of
from skyeye_edge.training.data.writing import write_lines

WORDS = st.text("abc äé中", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
BOX = st.tuples(
    st.floats(0, 40), st.floats(0, 30), st.floats(41, 64), st.floats(31, 48)
)  # of an image of 64 x 48 pixels
SAID = st.fixed_dictionaries(
    {
        "captions": st.lists(WORDS, min_size=1, max_size=2).map(tuple),
        "objects": st.lists(st.tuples(BOX, WORDS), max_size=3).map(tuple),
        "phrases": st.lists(st.tuples(WORDS.map("p {}".format), BOX), max_size=2).map(tuple),
        "absent": st.lists(WORDS.map("not {}".format), max_size=2).map(tuple),
        "questions": st.lists(st.tuples(WORDS, WORDS), max_size=2).map(tuple),
        "scene": st.just("") | WORDS,
        "cut": st.lists(WORDS, max_size=2).map(frozenset),
        "upright": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an image a.png of 64 x 48 pixels, and a file that stands for a video."""
    folder = tmp_path_factory.mktemp("data")
    Image.new("RGB", (64, 48), "grey").save(folder / "a.png")
    (folder / "a.mp4").touch()
    return folder


def back(item: Annotation, file: Path) -> Annotation:
    write_lines([Found("", "val", item)], file)
    found, problems = read_found(file, "lines")
    assert problems == []
    assert [each.split for each in found] == ["val"]
    return found[0].item


@settings(max_examples=60)
@given(said=SAID)
def test_what_is_written_is_read_again(folder: Path, said: dict[str, object]) -> None:
    item = Annotation((folder / "a.png",), **said)  # type: ignore[arg-type]  # by hypothesis

    again = back(item, folder / "own.jsonl")

    same = replace(again, phrases=item.phrases)  # those of an object stand with it, before others
    assert asdict(same) == asdict(item)
    assert sorted(again.phrases) == sorted(item.phrases)


@pytest.mark.parametrize("kinds", [(), ("count", "presence")])
def test_questions_keep_their_types(folder: Path, kinds: tuple[str, ...]) -> None:
    asked = (("how many boats?", "2"), ("is there a car?", "no"))
    item = Annotation((folder / "a.png",), questions=asked, question_types=kinds)

    again = back(item, folder / "own.jsonl")

    assert (again.questions, again.question_types) == (asked, kinds)


def test_clips_are_frames_of_a_video_or_several_images(folder: Path) -> None:
    video: tuple[ImageSource, ...] = clip_of(folder / "a.mp4", 3)
    files: tuple[ImageSource, ...] = (folder / "a.png", folder / "a.png")

    clips = [back(Annotation(each, ("a car .",)), folder / "own.jsonl") for each in (video, files)]

    assert [clip.images for clip in clips] == [video, files]


def test_a_number_of_frames_is_spread_over_the_video(folder: Path) -> None:
    file = folder / "clips.jsonl"
    file.write_text(json.dumps({"image": "a.mp4", "frames": 2, "class": "fire"}) + "\n")

    found, problems = read_found(file, "lines")

    assert problems == []
    assert found[0].item.images == (
        VideoFrame(folder / "a.mp4", 0.25),
        VideoFrame(folder / "a.mp4", 0.75),
    )


def test_pictures_without_a_file_are_written_beside_it(folder: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)

    again = back(Annotation((rgb,), ("noise .",)), folder / "drawn.jsonl")

    assert np.array_equal(read_rgb(again.image), rgb)
    assert (folder / "drawn_images" / "0_0.png").exists()


def test_conversations_are_written_with_their_boxes_and_angles(folder: Path) -> None:
    place = GroundResult("the crane", "found", (Box((16, 12, 32, 24)),))
    turned = DetectResult("boats", "found", (Box((16, 12, 32, 24), angle=30),))
    told = TextResult("ask", "text", f"grey, as {PLACE} is", phrases=(("", place.boxes),))
    named = (("two boats", turned.boxes), ("a crane", place.boxes))
    described = TextResult("describe", "text", "two boats beside a crane.", phrases=named)
    turns = (
        Turn(Ground("the crane"), place),
        Turn(Detect("boats"), turned),
        Turn(f"what colour has {PLACE}?", told, place.boxes),
        Turn(Identify((16, 12, 32, 24)), TextResult("identify", "text", "a crane")),
        Turn(Describe(boxes=True), described),
    )
    item = Annotation((folder / "a.png",), conversations=(turns,))

    again = back(item, folder / "own.jsonl")

    wanted = [turn.written((64, 48), BoxSpec(format="geochat")) for turn in turns]
    assert [
        turn.written((64, 48), BoxSpec(format="geochat")) for turn in again.conversations[0]
    ] == wanted
