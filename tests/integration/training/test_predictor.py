from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skyeye_edge.core.boxes import is_box, parse_boxes
from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.prompt import Control, ImageSlot, Text, build_prompt
from skyeye_edge.core.results import ClassifyResult, GroundResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Detect, Ground, Task
from skyeye_edge.training import CheckpointPredictor
from skyeye_edge.training.data.collate import IMAGE
from skyeye_edge.training.data.record import RGB
from skyeye_edge.training.predictor import Picture


@pytest.fixture(scope="module")
def predictor(minute_checkpoint: Path) -> CheckpointPredictor:
    return CheckpointPredictor(minute_checkpoint)


@pytest.fixture(scope="module")
def picture() -> RGB:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def read_again(
    predictor: CheckpointPredictor, rgb: RGB, task: Task, ids: list[int]
) -> torch.Tensor:
    """Logits (1 + len(ids), V) after the prompt and after each id, in one pass without a cache."""
    prompt: list[int] = []
    for segment in build_prompt([(task, None)], [(rgb.shape[1], rgb.shape[0])], predictor.spec):
        match segment:
            case Text(text=text):
                prompt += predictor.tokenizer.encode(text)
            case Control(token=token):
                prompt.append(predictor.tokenizer.controls[token])
            case ImageSlot():
                prompt += [IMAGE] * predictor.spec.vision.tokens
    model = predictor.model
    visual_tokens = torch.from_numpy(predictor.encode(rgb))[None]
    with torch.inference_mode():
        embedded = model.embed(torch.tensor([prompt + ids]), visual_tokens)
        logits: torch.Tensor = model.language_model(inputs_embeds=embedded).logits[0]
    return logits[len(prompt) - 1 :]


@pytest.mark.parametrize("task", [Caption(), Ask("what?")], ids=["caption", "ask"])
def test_the_cache_changes_nothing(
    predictor: CheckpointPredictor, picture: RGB, task: Task
) -> None:
    reply = predictor.replies(picture, [task], max_tokens=12, keep_logits=True)[0]

    again = read_again(predictor, picture, task, list(reply.ids))

    assert again.argmax(dim=1).tolist()[: len(reply.ids)] == list(reply.ids)
    assert reply.logits is not None
    for kept, expected in zip(reply.logits, again, strict=False):
        assert kept is not None
        np.testing.assert_allclose(kept, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("task", [Ground("a car"), Detect("car")], ids=["ground", "detect"])
def test_boxes_are_the_best_of_what_is_allowed(
    predictor: CheckpointPredictor, picture: RGB, task: Task
) -> None:
    reply = predictor.replies(picture, [task], max_tokens=40, keep_logits=True)[0]

    again = read_again(predictor, picture, task, list(reply.ids))

    assert reply.logits is not None
    for place, token in enumerate(reply.ids):
        kept = reply.logits[place]
        assert (kept is None) == (not reply.free[place])
        if kept is not None:
            allowed = np.isfinite(kept)
            assert int(np.where(allowed, kept, -np.inf).argmax()) == token
            np.testing.assert_allclose(kept[allowed], again[place].numpy()[allowed], atol=1e-5)


def test_a_grounded_answer_is_a_box_or_absent(predictor: CheckpointPredictor, picture: RGB) -> None:
    result = predictor.run(picture, [Ground("a car")])[0]

    assert isinstance(result, GroundResult)
    assert result.outcome in ("found", "absent")
    assert all(is_box(bins, predictor.spec.boxes) for bins in parse_boxes(result.text).corners)


def test_a_class_is_one_of_the_names(predictor: CheckpointPredictor, picture: RGB) -> None:
    result = predictor.run(picture, [Classify(("harbour", "bare land"))])[0]

    assert isinstance(result, ClassifyResult)
    assert result.label in ("harbour", "bare land")


def test_an_image_may_come_as_file_array_picture_or_frame(
    predictor: CheckpointPredictor, picture: RGB, tmp_path: Path
) -> None:
    file = tmp_path / "x.png"
    Image.fromarray(picture).save(file)

    same: list[Picture] = [file, str(file), picture, Image.fromarray(picture), Frame(picture)]

    first, *others = [predictor.encode(image) for image in same]
    assert first.shape == (predictor.spec.vision.tokens, predictor.spec.vision.width)
    assert all(np.array_equal(first, other) for other in others)


def test_a_clip_gives_every_frame_its_place(predictor: CheckpointPredictor, picture: RGB) -> None:
    other = np.ascontiguousarray(picture[::-1])

    both = predictor.replies([picture, other], [Caption()], max_tokens=1, keep_logits=True)[0]
    swapped = predictor.replies([other, picture], [Caption()], max_tokens=1, keep_logits=True)[0]

    assert both.logits is not None
    assert swapped.logits is not None
    assert not np.allclose(both.logits[0], swapped.logits[0])  # type: ignore[arg-type]


def test_boxes_are_not_asked_of_a_clip(predictor: CheckpointPredictor, picture: RGB) -> None:
    with pytest.raises(InputError, match="boxes belong to one frame"):
        predictor.run([picture, picture], [Ground("a car")])


def test_what_was_said_before_is_read(predictor: CheckpointPredictor, picture: RGB) -> None:
    history = [(Caption(), "a pier .")]

    alone = predictor.replies(picture, [Ask("what?")], max_tokens=1, keep_logits=True)[0]
    after = predictor.replies(
        picture, [Ask("what?")], history=history, max_tokens=1, keep_logits=True
    )[0]

    assert alone.logits is not None
    assert after.logits is not None
    assert not np.allclose(alone.logits[0], after.logits[0])  # type: ignore[arg-type]


def test_a_prompt_longer_than_the_context_is_refused(
    predictor: CheckpointPredictor, picture: RGB
) -> None:
    with pytest.raises(InputError, match="the model's context 512"):
        predictor.run(picture, [Ask("why? " * 600)])


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        CheckpointPredictor(tmp_path)
