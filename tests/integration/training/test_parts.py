"""What a stage may train: adapters, the aligner, the whole decoder, the encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from skyeye_edge.core.errors import InputError, SkyEyeError
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.tasks import Caption
from skyeye_edge.training import CheckpointPredictor, SkyEyeModel, TrainingEvent, merge, train
from skyeye_edge.training.experts import ExpertLinear
from skyeye_edge.training.lora import add_adapters, trained_tensors
from skyeye_edge.training.merger import TOLERANCE
from skyeye_edge.training.model.adapters import merged, take_experts
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.tensors import lazy
from skyeye_edge.training.recipe import LoraRecipe, Part
from skyeye_edge.training.run_folder import TRAINED

RECIPE = """\
name: parts
base: {base}
run: run
threads: 1
scored: 0
log_every: 2
data: [{{name: own, format: lines, path: {data}}}]
lora: {{rank: 4, alpha: 8, targets: [all-linear], dropout: 0{lora}}}
stages:
  - {{name: only, steps: 6, batch: 4, learning_rate: 3e-3, train: {train}}}
"""
ALIGNER: tuple[Part, ...] = ("aligner",)
DECODER: tuple[Part, ...] = ("lora",)
Write = Callable[..., Path]
Logits = Callable[[SkyEyeModel], torch.Tensor]
Distance = Callable[[torch.Tensor, torch.Tensor], float]


@pytest.fixture
def write(minute_checkpoint: Path, ten_images: Path, tmp_path: Path) -> Write:
    """Writes a recipe whose only stage trains some parts."""

    def to_file(train: str, lora: str = "") -> Path:
        path = tmp_path / "recipe.yaml"
        values = {"base": minute_checkpoint, "data": ten_images, "train": train, "lora": lora}
        path.write_text(RECIPE.format(**values))
        return path

    return to_file


@pytest.mark.parametrize(
    ("parts", "lora", "starts"),
    [
        ("[lora]", "", ("language_model.",)),
        ("[aligner]", "", ("aligner.",)),
        ("[decoder, aligner]", "", ("language_model.", "aligner.")),
        ("[encoder]", "", ("vision.", "ln_vision.")),
        ("[lora, aligner]", ", aligner: true", ("language_model.", "aligner.")),
        ("[lora, aligner]", ", experts: 3", ("language_model.", "aligner.")),
    ],
)
def test_a_stage_trains_the_parts_it_names_and_no_other(
    write: Write,
    minute_checkpoint: Path,
    tmp_path: Path,
    parts: str,
    lora: str,
    starts: tuple[str, ...],
) -> None:
    events: list[TrainingEvent] = []

    run = train(write(parts, lora), on_event=events.append)

    trained = load_file(run / "only" / TRAINED)
    assert {name for name in trained if not name.startswith(starts)} == set()
    assert all(any(name.startswith(start) for name in trained) for start in starts)
    assert events[-1].loss < events[0].loss
    merged = SkyEyeModel.from_checkpoint(merge(run, tmp_path / "merged").target).state_dict()
    before = SkyEyeModel.from_checkpoint(minute_checkpoint).state_dict()
    changed = {name for name, value in merged.items() if not torch.equal(value, before[name])}
    assert {name for name in changed if not name.startswith(starts)} == set()
    assert all(any(name.startswith(start) for name in changed) for start in starts)


def test_adapters_on_the_aligner_leave_the_matrix_below_alone(minute_checkpoint: Path) -> None:
    model = SkyEyeModel.from_checkpoint(minute_checkpoint)
    add_adapters(model, LoraRecipe(rank=2, aligner=True), ALIGNER)

    names = trained_tensors(model, ALIGNER)

    assert names and all("lora_" in name for name in names)


def test_experts_whose_router_knows_no_difference_fold_into_the_same_answers(
    minute_checkpoint: Path, probe_logits: Logits, distance: Distance
) -> None:
    model = SkyEyeModel.from_checkpoint(minute_checkpoint)
    add_adapters(model, LoraRecipe(rank=2, experts=3, targets=("all-linear",)), DECODER)
    model.eval()
    layers = [(n, each) for n, each in model.named_modules() if isinstance(each, ExpertLinear)]
    torch.manual_seed(0)
    for _, layer in layers:
        torch.nn.init.normal_(layer.lora_B, std=0.1)
    adapted = probe_logits(model)
    plain = probe_logits(SkyEyeModel.from_checkpoint(minute_checkpoint))

    trained = {name: lazy(value.clone()) for name, value in trained_tensors(model, DECODER).items()}
    for name, layer in layers:
        model.set_submodule(name, layer.base_layer)
    weights = model.state_dict()
    below = {name: lazy(value) for name, value in weights.items()}
    for name, adapter in take_experts(Ledger(Path(), trained), below, "", 16.0).items():
        weights[name].copy_(merged(below[name], adapter).read())

    assert distance(adapted, probe_logits(model)) < TOLERANCE < distance(adapted, plain)


def test_experts_differ_by_token_once_the_router_is_trained(write: Write) -> None:
    run = train(write("[lora]", ", experts: 2"))

    trained = load_file(run / "only" / TRAINED)

    shares = [value for name, value in trained.items() if name.endswith("lora_shares")]
    assert all(float(each.sum()) == pytest.approx(1) for each in shares)
    assert any(float(each.max()) > 0.5001 for each in shares)


def test_a_model_trained_without_identifiers_is_asked_without(write: Write, tmp_path: Path) -> None:
    recipe = write("[lora]")
    recipe.write_text(recipe.read_text() + "instructions: minigptv2-plain\n")

    merged = SkyEyeModel.from_checkpoint(merge(train(recipe), tmp_path / "merged").target)

    prompt = build_prompt([(Caption(), None)], [(9, 9)], merged.spec)
    assert "[caption]" not in str(prompt) and "please describe" in str(prompt)


@pytest.mark.parametrize("parts", ["[lora, aligner]", "[decoder, aligner]"])
def test_what_is_trained_is_float32_while_the_rest_is_half(
    write: Write, minute_checkpoint: Path, tmp_path: Path, parts: str
) -> None:
    recipe = write(parts)
    recipe.write_text(recipe.read_text() + "frozen: bfloat16\nrecompute: true\n")
    events: list[TrainingEvent] = []

    run = train(recipe, on_event=events.append)

    assert events[-1].loss < events[0].loss
    trained = load_file(run / "only" / TRAINED)
    assert {value.dtype for value in trained.values()} == {torch.float32}
    merged = SkyEyeModel.from_checkpoint(merge(run, tmp_path / "merged").target).state_dict()
    before = SkyEyeModel.from_checkpoint(minute_checkpoint).state_dict()
    vision = [name for name in before if name.startswith("vision.")]
    assert all(torch.equal(merged[name], before[name]) for name in vision)  # never rounded


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_four_bits_without_a_gpu_are_refused(write: Write) -> None:
    recipe = write("[lora]")
    recipe.write_text(recipe.read_text() + "frozen: nf4\n")

    with pytest.raises(SkyEyeError, match="nf4 needs a GPU"):
        train(recipe)


@pytest.mark.parametrize(
    ("aligner", "tokens"),
    [("{kind: mlp, layers: 2}", 4), ("{kind: qformer, layers: 1, joined: 2}", 8)],
)
def test_a_run_may_put_in_a_fresh_aligner_of_another_kind(
    write: Write, tmp_path: Path, aligner: str, tokens: int
) -> None:
    recipe = write("[lora, aligner]")
    recipe.write_text(recipe.read_text() + f"aligner: {aligner}\n")

    merged = merge(train(recipe), tmp_path / "merged").target

    model = SkyEyeModel.from_checkpoint(merged)
    assert model.spec.vision.tokens == tokens
    assert f"{{kind: {model.aligner.config.kind}" in aligner
    (answer,) = CheckpointPredictor(model).run(np.zeros((9, 9, 3), np.uint8), [Caption()])
    assert answer.outcome in ("text", "cut")


def test_a_fresh_aligner_that_is_not_trained_is_refused(write: Write) -> None:
    recipe = write("[lora]")
    recipe.write_text(recipe.read_text() + "aligner: {kind: mlp, layers: 2}\n")

    with pytest.raises(InputError, match="fresh aligner has to be trained"):
        train(recipe)


def test_adapters_and_whole_decoder_are_not_trained_at_once(write: Write) -> None:
    with pytest.raises(InputError, match="either lora or decoder"):
        train(write("[lora, decoder]"))
