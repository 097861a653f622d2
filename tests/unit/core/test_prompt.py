"""The template is byte for byte that of the published code, in both forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.prompt import (
    TEMPLATES,
    Control,
    ImageSlot,
    Segment,
    Text,
    Turn,
    build_prompt,
    text_ids,
)
from skyeye_edge.core.spec import ModelSpec, PromptSpec, Template, VisionSpec
from skyeye_edge.core.tasks import Ask, Caption, Identify

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "prompts.json").read_text("utf-8"))
WRITTEN = {"bos": "<s>", "end": "</s>", "unk": "<unk>"}
IDS = {"bos": 1, "end": 2, "unk": 0}
PAD = 3997  # `$$`, an ordinary piece
PUBLISHED = ModelSpec(VisionSpec(448, 1, 32), PromptSpec(train_form="train", infer_form="infer"))
OURS = ModelSpec(VisionSpec(112, 16, 256))
SYSTEM = "A chat between a user and an assistant."


def vicuna(spaces: Any = "each", system: str = SYSTEM) -> ModelSpec:
    prompt = PromptSpec("vicuna", instructions="llava", system=system, spaces=spaces)
    return ModelSpec(VisionSpec(112, 16, 256), prompt)


Case = dict[str, Any]
Encode = Callable[[str], list[int]]


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in VECTORS[kind]]


def turns_of(case: Case) -> list[Turn]:
    return [(question, answer) for question, answer in case["turns"]]


def word_of(segment: Segment) -> str:
    match segment:
        case Text(text=text):
            return text
        case Control(token=token):
            return WRITTEN[token]
        case ImageSlot():
            return "<ImageHere>"


def written(segments: Sequence[Segment]) -> str:
    return "".join(word_of(segment) for segment in segments)


def ids_of_one(segment: Segment, encode: Encode) -> list[int]:
    match segment:
        case Text():
            return text_ids(segment, encode)
        case Control(token=token):
            return [IDS[token]]
        case ImageSlot():
            return [-200]


def ids_of(segments: Sequence[Segment], encode: Encode) -> list[int]:
    return [token for segment in segments for token in ids_of_one(segment, encode)]


def learnt(segments: Sequence[Segment], encode: Encode) -> list[bool]:
    return [
        isinstance(segment, (Text, Control)) and segment.answer
        for segment in segments
        for _ in ids_of_one(segment, encode)
    ]


@pytest.fixture(scope="module")
def llama(shared: Path) -> Encode:
    """The real LLaMA tokenizer."""
    sentencepiece = pytest.importorskip("sentencepiece")
    file = shared / "reference" / "llama_tiny" / "tokenizer.model"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return lambda text: list(processor.encode(text))


@pytest.mark.parametrize("case", cases("inference"))
def test_a_question_reads_as_the_published_inference_writes_it(case: Case) -> None:
    segments = build_prompt(turns_of(case), [(9, 9)], PUBLISHED, as_reference=True)

    assert written(segments) == "<s>" + case["text"]  # one more, which its tokenizer adds


@pytest.mark.parametrize("case", cases("inference"))
def test_a_question_has_the_published_token_ids(case: Case, llama: Encode) -> None:
    segments = build_prompt(turns_of(case), [(9, 9)], PUBLISHED, as_reference=True)

    assert ids_of(segments, llama) == case["ids"]


@pytest.mark.parametrize("case", cases("training"))
def test_a_sample_reads_as_the_published_training_writes_it(case: Case) -> None:
    sizes = [(9, 9)] * case["frames"]

    segments = build_prompt(turns_of(case), sizes, PUBLISHED, learn=True, as_reference=True)

    assert written(segments) == case["text"]


@pytest.mark.parametrize("case", cases("training"))
def test_a_sample_has_the_published_token_ids(case: Case, llama: Encode) -> None:
    sizes = [(9, 9)] * case["frames"]

    segments = build_prompt(turns_of(case), sizes, PUBLISHED, learn=True, as_reference=True)

    ids = ids_of(segments, llama)
    first_answer = learnt(segments, llama).index(True)
    assert ids[: first_answer + case["limit"]] == case["ids"]


@pytest.mark.parametrize("case", cases("training"))
def test_answers_are_learnt_and_nothing_else(case: Case, llama: Encode) -> None:
    sizes = [(9, 9)] * case["frames"]

    segments = build_prompt(turns_of(case), sizes, PUBLISHED, learn=True, as_reference=True)

    # The published code treats the id that it pads with apart, also inside an answer; not copied.
    marks = zip(case["ids"], learnt(segments, llama), strict=False)
    stated = zip(case["ids"], case["labels"], strict=True)
    assert [learns for token, learns in marks if token != PAD] == [
        label != -100 for token, label in stated if token != PAD
    ]


def test_in_our_own_form_training_sees_what_inference_asks() -> None:
    asked = build_prompt([(Caption(), None)], [(9, 9)], OURS)

    learnt_from = build_prompt([(Caption(), "a road")], [(9, 9)], OURS, learn=True)

    assert learnt_from == (*asked, Text("a road", answer=True))


def test_each_frame_of_a_clip_has_a_place_of_its_own() -> None:
    segments = build_prompt([(Caption(), None)], [(9, 9), (9, 9), (9, 9)], OURS)

    assert [s.index for s in segments if isinstance(s, ImageSlot)] == [0, 1, 2]
    assert "<Img><ImageHere></Img><Img><ImageHere></Img><Img>" in written(segments)


def test_later_turns_carry_no_frames() -> None:
    segments = build_prompt([(Caption(), "a road"), (Ask("wet?"), None)], [(9, 9)], OURS)

    assert sum(isinstance(segment, ImageSlot) for segment in segments) == 1


def test_the_box_of_identify_is_measured_in_the_first_frame() -> None:
    segments = build_prompt([(Identify((10, 20, 100, 200)), None)], [(100, 200)], OURS)

    assert "{<10><10><100><100>}" in written(segments)


def test_every_template_of_the_specification_is_there() -> None:
    assert set(TEMPLATES) == set(get_args(Template))


def test_vicunas_template_reads_as_llava_writes_it() -> None:
    asked: list[Turn] = [("What is it?", "A harbour."), ("How many boats?", None)]

    segments = build_prompt(asked, [(9, 9)], vicuna())

    assert written(segments) == (
        f"<s>{SYSTEM} USER: <ImageHere>\nWhat is it? ASSISTANT: A harbour.</s>"
        "USER: How many boats? ASSISTANT:"
    )


def test_a_template_without_a_system_line_begins_with_the_user() -> None:
    segments = build_prompt([("Why?", None)], [], vicuna(system=""))

    assert segments == (Control("bos"), Text("USER: Why? ASSISTANT:"))


def test_an_answer_in_vicunas_template_is_learnt_with_its_end() -> None:
    segments = build_prompt([("a", "b"), ("c", "d")], [(9, 9)], vicuna(), learn=True)

    assert "".join(word_of(s) for s in segments if getattr(s, "answer", False)) == " b</s> d</s>"
    assert written(segments) == written(build_prompt([("a", "b"), ("c", "d")], [(9, 9)], vicuna()))


@pytest.mark.parametrize(
    ("spaces", "behind_image", "behind_end"),
    [
        pytest.param("each", [29871, 13, 29874], [3148, 1001], id="slow tokenizer, as published"),
        pytest.param("chunks", [29871, 13, 29874], [11889], id="asked once per chunk"),
        pytest.param("first", [13, 29874], [11889], id="fast tokenizer over the whole prompt"),
    ],
)
def test_spaces_stand_where_the_models_tokenizer_puts_them(
    spaces: str, behind_image: list[int], behind_end: list[int], llama: Encode
) -> None:
    segments = build_prompt([("a", "b"), ("c", None)], [(9, 9)], vicuna(spaces))

    ids = ids_of(segments, llama)
    image, end = ids.index(-200), ids.index(IDS["end"])
    assert ids[image + 1 : image + 1 + len(behind_image)] == behind_image
    assert ids[end + 1 : end + 1 + len(behind_end)] == behind_end


def test_a_learnt_answer_has_the_ids_that_stand_in_the_whole_prompt(llama: Encode) -> None:
    turns: list[Turn] = [("What is it?", "A harbour, 3 boats."), ("And?", "No")]

    learnt_from = build_prompt(turns, [(9, 9)], vicuna(), learn=True)

    assert ids_of(learnt_from, llama) == ids_of(build_prompt(turns, [(9, 9)], vicuna()), llama)


def test_no_turn_is_no_prompt() -> None:
    with pytest.raises(InputError, match="no question"):
        build_prompt([], [(9, 9)], OURS)


@given(
    words=st.lists(
        st.sampled_from(["<s>", "</s>", "<unk>", "[INST]", "<Img>", "<ImageHere>", "a", " "]),
        min_size=1,
    ),
    learn=st.booleans(),
    form=st.sampled_from(["train", "infer"]),
)
def test_what_users_type_never_becomes_a_control_token(
    words: list[str], learn: bool, form: Any
) -> None:
    spec = ModelSpec(VisionSpec(112, 16, 256), PromptSpec(train_form=form, infer_form=form))
    typed = "x" + "".join(words)

    harmless = build_prompt([(Ask("x"), "x"), (Ask("x"), None)], [(9, 9)], spec, learn=learn)
    hostile = build_prompt([(Ask(typed), typed), (Ask(typed), None)], [(9, 9)], spec, learn=learn)

    assert [s for s in hostile if not isinstance(s, Text)] == [
        s for s in harmless if not isinstance(s, Text)
    ]
    assert written(hostile).count(typed) >= 3


def test_the_specification_says_how_boxes_are_written() -> None:
    spec = ModelSpec(VisionSpec(112, 16, 256), boxes=BoxSpec(bins=1000))

    segments = build_prompt([(Identify((10, 20, 100, 200)), None)], [(100, 200)], spec)

    assert "{<100><100><1000><1000>}" in written(segments)
