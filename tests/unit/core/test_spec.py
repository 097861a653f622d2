"""What training and runtime agree on, as JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.spec import ModelSpec, PreprocessSpec, PromptSpec, VisionSpec

SPEC = ModelSpec(
    VisionSpec(448, 256, 4096, PreprocessSpec(fit="pad", mean=(0.5, 0.4, 0.3))),
    PromptSpec(
        "vicuna", train_form="train", instructions="llava", system="A chat.", spaces="first"
    ),
    BoxSpec(bins=1000, labels="truncated", format="normalised", within="padded"),
    context=4096,
    scores=ScoreSpec(0.25, ((0.1, 0.0), (0.5, 0.9), (0.75, 0.9)), 0.375),
    frames=8,
)


def test_a_specification_survives_its_json() -> None:
    assert ModelSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_unknown_keys_are_ignored() -> None:
    values = SPEC.to_json()
    values["vision"]["preprocess"]["mood"] = values["prompt"]["mood"] = values["mood"] = "good"

    assert ModelSpec.from_json(values) == SPEC


@pytest.mark.parametrize("key", ["vision", "prompt", "boxes", "context"])
def test_a_missing_part_is_named(key: str) -> None:
    values = SPEC.to_json()
    del values[key]

    with pytest.raises(InputError, match=key):
        ModelSpec.from_json(values)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("vision", {"image_size": 0}),
        ("boxes", {"min_size": 1001}),
        ("vision", {"tokens": "many"}),
        ("prompt", {"template": "chatml"}),
        ("prompt", {"train_form": "both"}),
        ("boxes", {"labels": "ceiled"}),
        ("boxes", {"bins": "hundred"}),
        ("vision", {"preprocess": {"resize": "cv2-area"}}),
        ("vision", {"preprocess": {"fit": "tile"}}),
        ("prompt", {"instructions": "qwen"}),
        ("prompt", {"spaces": "none"}),
        ("prompt", {"system": None}),
        ("boxes", {"format": "xywh"}),
        ("boxes", {"within": "tiles"}),
        ("boxes", {"format": "normalised", "bins": 128}),
        ("vision", {"preprocess": {"std": [0.0, 1.0, 1.0]}}),
        ("vision", {"preprocess": {"mean": [0.5]}}),
    ],
    ids=str,
)
def test_an_unknown_value_is_refused(part: str, change: dict[str, Any]) -> None:
    values = SPEC.to_json()
    values[part] |= change

    with pytest.raises(InputError):
        ModelSpec.from_json(values)


def test_what_is_not_said_is_not_written() -> None:
    spec = ModelSpec(VisionSpec(448, 256, 4096))

    assert set(spec.to_json()) == {"vision", "prompt", "boxes", "context"}
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("values", [{"box": 1.5}, {"box": "high"}, 0.5], ids=str)
def test_a_least_score_that_no_score_can_reach_is_refused(values: Any) -> None:
    with pytest.raises(InputError):
        ModelSpec.from_json(SPEC.to_json() | {"min_score": values})


@pytest.mark.parametrize(
    "values",
    [
        {"calibration": {"box": [[0.1, 0.2], [0.1, 0.3]]}},
        {"calibration": {"box": [[0.1, 0.3], [0.2, 0.2]]}},
        {"calibration": {"box": [[0.1, 0.3], [0.2, 1.1]]}},
        {"calibration": {"box": [[0.1, 0.3, 0.4]]}},
        {"calibration": [[0.1, 0.3]]},
        {"operating_point": {"found": 1.0}},
        {"operating_point": {"found": -0.1}},
        {"operating_point": {"found": "half"}},
        {"operating_point": 0.5},
    ],
    ids=str,
)
def test_scores_that_could_not_be_meant_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ModelSpec.from_json(SPEC.to_json() | values)


def test_a_model_refuses_more_frames_than_it_was_trained_on() -> None:
    SPEC.check_frames(8)
    with pytest.raises(InputError, match=r"clip of 9 frames.* up to 8"):
        SPEC.check_frames(9)


def test_a_model_that_says_nothing_about_frames_takes_any_number() -> None:
    ModelSpec(VisionSpec(448, 256, 4096)).check_frames(99)


def test_a_negative_number_of_frames_is_refused() -> None:
    with pytest.raises(InputError, match="frames"):
        ModelSpec.from_json(SPEC.to_json() | {"frames": -1})
