from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.data.builders.boxes import Object
from skyeye_edge.training.data.collate import IGNORED, Tokenizer
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.augment import augment, dense_targets
from skyeye_edge.training.pretrain.data import (
    Drawn,
    Targets,
    Views,
    build_targets,
)
from skyeye_edge.training.pretrain.heads import Heads
from skyeye_edge.training.pretrain.loop import Phase, place_spread, pretrain
from skyeye_edge.training.pretrain.scenes import draw, draw_flight
from skyeye_edge.training.pretrain.tiny import TOWER, build_model, edge_ids
from skyeye_edge.training.pretrain.vocabulary import train_vocabulary

SHORT = 0.02  # minutes
PHASES = (
    Phase("encoder", SHORT, False, (0.0, 0.0, 1.0), 1e-3, 1e-3),
    Phase("joint", SHORT, True, (0.0, 0.0, 1.0), 1e-3, 1e-3),
)
MakeViews = Callable[[Phase, int], Views]


@pytest.fixture(scope="module")
def scenes() -> list[Drawn]:
    return [draw(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def model(scenes: list[Drawn], tmp_path_factory: pytest.TempPathFactory) -> SkyEyeModel:
    words = [text for scene in scenes for text in scene.captions] * 20
    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    return build_model(train_vocabulary(words, file, 440, 100), seed=0)


@pytest.fixture
def targets(scenes: list[Drawn]) -> Targets:
    return build_targets([], [], scenes)


@pytest.fixture
def views(scenes: list[Drawn], targets: Targets, model: SkyEyeModel) -> MakeViews:
    tokenizer = Tokenizer(model.tokenizer_file)

    def make(phase: Phase, step: int) -> Views:
        spec: ModelSpec = model.spec
        return Views(
            [], [], scenes, targets, spec, tokenizer,
            shares=phase.shares, batch=2, questions=phase.questions, seed=step,
        )  # fmt: skip

    return make


def test_a_run_trains_both_phases_and_goes_on_where_it_stopped(
    model: SkyEyeModel, targets: Targets, views: MakeViews, tmp_path: Path
) -> None:
    places = edge_ids(Tokenizer(model.tokenizer_file))
    heads = Heads(TOWER.width, targets, TOWER.grid)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    pretrain(model, heads, PHASES[:1], views, tmp_path, places)
    encoder = {name: value.clone() for name, value in model.state_dict().items()}
    pretrain(model, heads, PHASES, views, tmp_path, places)

    state = torch.load(tmp_path / "state.pt", weights_only=True)
    changed = [n for n in before if not torch.equal(before[n], encoder[n])]
    assert changed and not [n for n in changed if n.startswith("language_model")]
    learnt = "language_model.model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(encoder[learnt], model.state_dict()[learnt])
    assert state["progress"]["phase"] == 2
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())


def test_the_questions_of_a_batch_are_learnt_and_weighted(
    views: MakeViews, model: SkyEyeModel
) -> None:
    batch = next(iter(views(PHASES[1], 3)))

    assert batch["pixels"].shape == (2, 3, 112, 112)
    assert bool(((batch["labels"] != IGNORED) == (batch["weights"] > 0)).all())


def test_frames_of_a_flight_are_squares_with_truth_inside() -> None:
    frames = draw_flight(3)

    assert {frame.rgb.shape for frame in frames} == {(128, 128, 3)}
    boxes = np.array([box for frame in frames for _, box in frame.phrases])
    assert len(boxes) > len(frames)
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-9


def test_boxes_follow_the_picture_through_crops_flips_and_turns() -> None:
    rgb = np.zeros((100, 160, 3), np.uint8)
    rgb[30:60, 40:80] = 255
    thing: Object = ((40.0, 30.0, 80.0, 60.0), "thing")

    moved = [augment(rgb, [thing], 112, random.Random(seed), lowest=0.7) for seed in range(20)]

    overlaps = [_overlap(picture > 100, box) for picture, kept in moved for box, _ in kept]
    assert len(overlaps) >= 15
    assert min(overlaps) > 0.8


def test_a_patch_belongs_to_the_smallest_box_over_its_centre() -> None:
    large, small = (0.0, 0.0, 1.0, 1.0), (0.5, 0.5, 0.75, 0.75)

    labels, boxes = dense_targets([(small, 1), (large, 0)], 4, True)

    assert labels.reshape(4, 4)[2, 2] == 1 and int((labels == 0).sum()) == 15
    assert tuple(boxes.reshape(4, 4, 4)[2, 2]) == small


def test_edge_targets_are_narrow_bells_that_sum_to_one() -> None:
    table = place_spread(50, list(range(10, 21)))

    assert torch.allclose(table[10:21].sum(dim=1), torch.ones(11))
    assert int(table[:10].count_nonzero()) == 0
    assert int(table[15].argmax()) == 5


def test_a_log_line_says_rate_and_losses(
    model: SkyEyeModel,
    targets: Targets,
    views: MakeViews,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skyeye_edge.training.pretrain.loop.NOTE_EVERY", 0.0)
    places = edge_ids(Tokenizer(model.tokenizer_file))

    pretrain(model, Heads(TOWER.width, targets, TOWER.grid), PHASES[1:], views, tmp_path, places)

    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert {"phase", "step", "images_per_second", "answers", "label"} <= line.keys()


def _overlap(white: np.ndarray, box: XYXY) -> float:
    """IoU of a box and the white pixels' own box."""
    rows, columns = np.nonzero(white.any(axis=2))
    x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    across = max(0.0, min(x2, box[2]) - max(x1, box[0]))
    down = max(0.0, min(y2, box[3]) - max(y1, box[1]))
    both = across * down
    return float(both / ((x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1]) - both))
