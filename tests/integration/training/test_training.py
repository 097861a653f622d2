from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from skyeye_edge.cli.main import main
from skyeye_edge.core.errors import CheckpointError, DataError, InputError, SkyEyeError
from skyeye_edge.core.tasks import Caption, Ground
from skyeye_edge.training import (
    CheckpointPredictor,
    SkyEyeModel,
    TrainingEvent,
    merge,
    read_scores,
    train,
)
from skyeye_edge.training.lora import add_adapters, trained_tensors
from skyeye_edge.training.merger import TOLERANCE
from skyeye_edge.training.recipe import LoraRecipe, Part
from skyeye_edge.training.run_folder import TRAINED, RunFolder, load_trained, read_log

RECIPE = """\
name: my-minute
version: 0.1.0
base: {base}
run: run
threads: 1
scored: 1
log_every: 2
data:
  - {{name: own, format: lines, path: {data}, licence: all mine}}
  - {{name: drawn, format: synthetic, scenes: 4, ratio: 0.2}}
lora: {{rank: 8, alpha: 16, targets: [all-linear], dropout: 0.1}}
stages:
  - {{name: single, steps: 8, batch: 4, learning_rate: 3e-3}}
  - {{name: talk, steps: 4, batch: 2, accumulate: 2, learning_rate: 3e-3, conversations: 0.8}}
"""
PARTS: tuple[Part, ...] = ("lora", "aligner")


Logits = Callable[[SkyEyeModel], torch.Tensor]
Distance = Callable[[torch.Tensor, torch.Tensor], float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that nothing disturbed."""

    folder: Path
    events: list[TrainingEvent]
    merged: Path
    difference: float


@pytest.fixture(scope="module")
def recipe_text(minute_checkpoint: Path, ten_images: Path) -> str:
    return RECIPE.format(base=minute_checkpoint, data=ten_images)


@pytest.fixture
def recipe(recipe_text: str, tmp_path: Path) -> Path:
    """The recipe in a folder of its own; it scores nothing, which changes nothing it learns."""
    (tmp_path / "recipe.yaml").write_text(recipe_text.replace("scored: 1", "scored: 0"))
    return tmp_path / "recipe.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe_text: str) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.yaml").write_text(recipe_text)
    events: list[TrainingEvent] = []
    run = train(folder / "recipe.yaml", on_event=events.append)
    report = merge(run, folder / "merged")
    return Finished(run, events, report.target, report.difference)


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Adapters and aligner at the end of a run."""
    return dict(load_file(run / "talk" / TRAINED))


def test_the_loss_goes_down(finished: Finished) -> None:
    losses = [event.loss for event in finished.events if event.stage == "single"]

    assert losses[-1] < losses[0] - 0.3


def test_every_event_says_how_far_it_is(finished: Finished) -> None:
    places = [(event.stage, event.step, event.steps) for event in finished.events]

    assert places == [
        ("single", 2, 8),
        ("single", 4, 8),
        ("single", 6, 8),
        ("single", 8, 8),
        ("talk", 2, 4),
        ("talk", 4, 4),
    ]
    assert all(event.samples_per_second > 0 for event in finished.events)
    assert [e.seconds_left == 0 for e in finished.events] == [
        e.step == e.steps for e in finished.events
    ]


def test_the_learning_rate_falls_along_a_cosine(finished: Finished) -> None:
    rates = [event.learning_rate for event in finished.events if event.stage == "single"]

    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]


def test_a_run_leaves_its_log_and_its_curves(finished: Finished) -> None:
    logged = [(line["stage"], line["step"]) for line in read_log(RunFolder(finished.folder))]

    assert logged == [(event.stage, event.step) for event in finished.events]
    with Image.open(finished.folder / "curves.png") as curves:
        assert min(curves.size) > 300


def test_tensorboard_shows_every_stage(finished: Finished) -> None:
    for stage in ("single", "talk"):
        board = EventAccumulator(str(RunFolder(finished.folder).board(stage))).Reload()
        shown = {each.step: each.value for each in board.Scalars("loss")}
        told = {each.step: each.loss for each in finished.events if each.stage == stage}
        assert shown == pytest.approx(told)


def test_the_same_questions_are_asked_before_and_after_of_new_images_and_old(
    finished: Finished,
) -> None:
    scores = read_scores(finished.folder)

    kinds = {(change.group, change.kind) for change in scores.changes()}
    asked = [[each.asked for each in image.before] for image in scores.images]
    assert asked == [[each.asked for each in image.after] for image in scores.images]
    assert {("held out", "captions"), ("trained on", "captions"), ("old tasks", "boxes")} <= kinds
    assert all(0 <= change.after.value <= 1 for change in scores.changes())


def test_an_image_that_is_scored_as_held_out_was_not_trained_on(finished: Finished) -> None:
    images = read_scores(finished.folder).images

    held = {image.name for image in images if image.group == "held out"}
    trained = {image.name for image in images if image.group == "trained on"}
    assert (len(held), len(trained), len(held & trained)) == (1, 1, 0)


def test_a_sheet_shows_answers_from_before_and_after(finished: Finished) -> None:
    with Image.open(finished.folder / "before_after.jpg") as sheet:
        assert min(sheet.size) > 600


def test_a_finished_run_is_not_scored_again(finished: Finished) -> None:
    before = (finished.folder / "scores.json").stat().st_mtime_ns

    train(finished.folder.parent / "recipe.yaml", resume=True)

    assert (finished.folder / "scores.json").stat().st_mtime_ns == before


def test_only_adapters_and_aligner_are_trained(finished: Finished, minute_checkpoint: Path) -> None:
    names = tensors(finished.folder).keys()
    before = SkyEyeModel.from_checkpoint(minute_checkpoint).state_dict()
    after = SkyEyeModel.from_checkpoint(finished.merged).state_dict()

    changed = {name for name in before if not torch.equal(before[name], after[name])}
    linear = {n for n in before if "_proj.weight" in n and n.startswith("language_model")}
    assert all("lora_" in name or name.startswith("aligner.") for name in names)
    assert changed == linear | {"aligner.llama_proj.weight", "aligner.llama_proj.bias"}


def test_a_run_interrupted_in_each_stage_goes_on_as_if_nothing_had_happened(
    finished: Finished, recipe: Path
) -> None:
    seen: list[tuple[str, int]] = []

    def interrupt(event: TrainingEvent) -> None:
        seen.append((event.stage, event.step))
        if seen[-1] in (("single", 4), ("talk", 2)):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, on_event=interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, resume=True, on_event=interrupt)
    run = train(recipe, resume=True, on_event=interrupt)

    assert seen == [(event.stage, event.step) for event in finished.events]
    expected = tensors(finished.folder)
    found = tensors(run)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + "save_every: 3\n")
    undisturbed = tmp_path / "undisturbed.yaml"
    undisturbed.write_text(recipe.read_text().replace("run: run", "run: other"))
    command = [sys.executable, "-m", "skyeye_edge", "train", str(recipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        while not running.stderr.readline().startswith("single 6/8"):
            assert running.poll() is None
        running.kill()

    killed, whole = train(recipe, resume=True), train(undisturbed)

    found, expected = tensors(killed), tensors(whole)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    ours, theirs = (
        [(line["stage"], line["step"], line["loss"]) for line in read_log(RunFolder(run))]
        for run in (killed, whole)
    )
    assert ours == theirs


def test_ctrl_c_means_what_it_meant_before_once_training_is_over(finished: Finished) -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_merged_logits_equal_the_adapted_ones(
    finished: Finished,
    minute_checkpoint: Path,
    probe_logits: Logits,
    distance: Distance,
) -> None:
    adapted = SkyEyeModel.from_checkpoint(minute_checkpoint)
    add_adapters(adapted, LoraRecipe(rank=8, alpha=16, targets=("all-linear",)))
    load_trained(adapted.eval(), PARTS, finished.folder / "talk" / TRAINED)
    expected = probe_logits(adapted)

    found = probe_logits(SkyEyeModel.from_checkpoint(finished.merged))
    before = probe_logits(SkyEyeModel.from_checkpoint(minute_checkpoint))

    assert finished.difference <= TOLERANCE
    assert distance(expected, found) < TOLERANCE
    assert distance(expected, before) > 5e-2


def test_a_merged_checkpoint_has_no_adapters_and_knows_where_it_comes_from(
    finished: Finished,
) -> None:
    names = {name for file in finished.merged.rglob("*.safetensors") for name in load_file(file)}
    said = json.loads((finished.merged / "skyeye.json").read_text())

    assert not [name for name in names if "lora" in name]
    assert (said["name"], said["version"], said["commercial_use"]) == ("my-minute", "0.1.0", False)
    assert said["licences"] == ["none", "all mine"]
    assert said["provenance"]["base"] == {"name": "minute", "version": "0.0.0", "data": "random"}
    assert [(s["name"], s["steps"]) for s in said["provenance"]["stages"]] == [
        ("single", 8),
        ("talk", 4),
    ]
    assert str(finished.folder.parent) not in json.dumps(said)


def test_merging_rounds_nothing(finished: Finished, minute_checkpoint: Path) -> None:
    before = load_file(minute_checkpoint / "llm" / "model.safetensors")
    after = load_file(finished.merged / "llm" / "model.safetensors")

    kept = [name for name in before if torch.equal(before[name], after[name])]

    assert {name for name in before if "_proj" not in name} == set(kept)
    assert {after[name].dtype for name in after if "_proj" in name} == {torch.float32}


def test_whoever_may_read_a_merged_checkpoint_may_read_its_weights(finished: Finished) -> None:
    plain = (finished.merged / "skyeye.json").stat().st_mode

    weights = list(finished.merged.rglob("*.safetensors"))

    assert len(weights) == 3
    assert {file.stat().st_mode for file in weights} == {plain}


def test_a_run_that_diverges_ends_before_it_spoils_its_weights(recipe: Path) -> None:
    text = recipe.read_text().replace("learning_rate: 3e-3", "learning_rate: 1e30")
    recipe.write_text(text.replace("log_every: 2", "log_every: 1\nsave_every: 1"))

    with pytest.raises(SkyEyeError, match=r"stage single, step \d+: the loss is no number"):
        train(recipe)

    run = RunFolder(recipe.parent / "run")
    newest = run.last_checkpoint("single")
    assert newest is not None
    assert all(bool(each.isfinite().all()) for each in load_file(newest / TRAINED).values())
    assert all(math.isfinite(line["loss"]) for line in read_log(run))


def test_a_step_in_parts_learns_what_a_step_at_once_does(recipe_text: str, tmp_path: Path) -> None:
    losses = []
    plain = recipe_text.replace("dropout: 0.1", "dropout: 0.0").replace("scored: 1", "scored: 0")
    for name, cut in (("once", "batch: 4"), ("parts", "batch: 1, accumulate: 4")):
        recipe = tmp_path / f"{name}.yaml"
        text = plain.replace("batch: 4", cut).replace("log_every: 2", "log_every: 1")
        recipe.write_text(text.replace("run: run", f"run: {name}"))
        train(recipe)
        losses.append([each["loss"] for each in read_log(RunFolder(tmp_path / name))][:8])

    assert losses[0] == pytest.approx(losses[1], abs=2e-4)


@pytest.mark.root
def test_a_full_disk_is_said_to_be_full(
    finished: Finished, recipe_text: str, small_disk: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text.replace("run: run", f"run: {small_disk / 'run'}"))

    with pytest.raises(SkyEyeError, match="disk is full; make room, then go on with --resume"):
        train(recipe)
    shutil.rmtree(small_disk / "run")
    with pytest.raises(SkyEyeError, match="disk is full; make room, then merge again"):
        merge(finished.folder, small_disk / "merged")

    assert list(small_disk.iterdir()) == []


def test_merging_what_is_half_done_says_so(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe.write_text(recipe.read_text().replace("steps: 8", "epochs: 4") + "save_every: 3\n")

    def interrupt(event: TrainingEvent) -> None:
        if event.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, on_event=interrupt)
    merged = merge(tmp_path / "run", tmp_path / "merged").target

    stages = json.loads((merged / "skyeye.json").read_text())["provenance"]["stages"]
    assert [(stage["name"], stage["steps"]) for stage in stages] == [("single", 5)]
    assert "not finished" in caplog.text


def test_merging_does_not_touch_what_is_there(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        merge(finished.folder, tmp_path)


def test_a_run_without_a_checkpoint_cannot_be_merged(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_bytes(recipe.read_bytes())
    (tmp_path / "run" / "run.json").write_text('{"paths_start": ".."}')

    with pytest.raises(InputError, match="nothing is saved there yet"):
        merge(tmp_path / "run", tmp_path / "merged")


def test_adapters_of_another_recipe_are_refused(
    finished: Finished, minute_checkpoint: Path
) -> None:
    model = SkyEyeModel.from_checkpoint(minute_checkpoint)
    add_adapters(model, LoraRecipe())

    with pytest.raises(CheckpointError, match="does not fit the recipe's adapters"):
        load_trained(model, PARTS, finished.folder / "talk" / TRAINED)


def test_adapters_on_layers_that_are_not_there_are_refused(minute_checkpoint: Path) -> None:
    model = SkyEyeModel.from_checkpoint(minute_checkpoint)

    with pytest.raises(InputError, match="targets Wqkv"):
        add_adapters(model, LoraRecipe(targets=("Wqkv",)))


def test_by_default_only_queries_values_and_aligner_are_trained(minute_checkpoint: Path) -> None:
    model = SkyEyeModel.from_checkpoint(minute_checkpoint)

    add_adapters(model, LoraRecipe(rank=4))

    names = [name for name in trained_tensors(model, PARTS) if "lora" in name]
    assert len(names) == 2 * 2 * 2  # layers, q and v, A and B
    assert all("q_proj" in name or "v_proj" in name for name in names)


def test_the_command_line_trains_and_merges_what_then_answers(
    recipe: Path, capsys: pytest.CaptureFixture[str], ten_images: Path
) -> None:
    merged = recipe.parent / "merged"
    short = recipe.read_text().replace("steps: 8", "steps: 2").replace("scored: 0", "scored: 1")
    recipe.write_text(short)

    codes = [
        main(["train", str(recipe)]),
        main(["merge", str(recipe.parent / "run"), "-o", str(merged)]),
    ]

    out, err = capsys.readouterr()
    assert (codes, out.split()) == ([0, 0], [str(recipe.parent / "run"), str(merged)])
    assert "single 2/2  loss " in err
    assert "your images, held out (1) " in err
    assert "old tasks, on drawn scenes (" in err
    (answer,) = CheckpointPredictor(merged).run(ten_images.parent / "0.png", [Ground("a car")])
    assert answer.outcome in ("found", "absent") and answer.tokens


@pytest.fixture
def ten_frames(shared: Path, tmp_path: Path) -> Path:
    """Annotations of ten real drone frames of different places, a caption each."""
    folder = shared / "data" / "drone"
    entries = json.loads((folder / "annotations.json").read_text())
    first = {entry["group"]: entry for entry in reversed(entries) if entry["split"] == "train"}
    lines = [
        {"image": str(folder / "images" / entry["file"]), "captions": entry["captions"][:1]}
        for _, entry in sorted(first.items())[::15][:10]
    ]
    (tmp_path / "frames.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "frames.jsonl"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_packaged_recipe_teaches_ten_own_images_and_keeps_what_the_base_could_do(
    repo: Path, ten_frames: Path, tmp_path: Path
) -> None:
    text = (repo / "skyeye_edge" / "training" / "recipes" / "fine_tune.yaml").read_text()
    text = text.replace("../checkpoints", str(repo / "checkpoints"))
    own = f"path: {ten_frames}\n    hold_out: 0\n    tasks: {{caption: 1}}"
    (tmp_path / "fine_tune.yaml").write_text(text.replace("path: annotations.jsonl", own))

    run = train(tmp_path / "fine_tune.yaml")
    merge(run, tmp_path / "merged")

    predictor = CheckpointPredictor(tmp_path / "merged")
    lines = [json.loads(line) for line in ten_frames.read_text().splitlines()]
    said = [predictor.run(line["image"], [Caption()])[0] for line in lines]
    right = [result.text == line["captions"][0] for result, line in zip(said, lines, strict=True)]
    old = [change for change in read_scores(run).changes() if change.group == "old tasks"]
    kept = sum(change.after.value for change in old) / sum(change.before.value for change in old)
    assert sum(right) >= 7
    assert kept >= 0.9


@pytest.mark.parametrize(
    ("before", "after", "code", "says"),
    [
        pytest.param("stages:", "stage:", 2, "did you mean 'stages'?", id="recipe"),
        pytest.param("annotations.jsonl", "nowhere.jsonl", 1, "cannot be read", id="data"),
        pytest.param("base: ", "base: no", 1, "not a checkpoint", id="base"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    code: int,
    says: str,
) -> None:
    recipe.write_text(recipe.read_text().replace(before, after))

    found = main(["train", str(recipe)])

    assert (found, capsys.readouterr().out) == (code, "")
    assert not (recipe.parent / "run").exists()


@pytest.fixture
def with_a_bad_one(recipe: Path, ten_images: Path) -> Path:
    """The recipe, short, about ten images of which number 3 ends too soon."""
    own = shutil.copytree(ten_images.parent, recipe.parent / "own")
    whole = (own / "3.png").read_bytes()
    (own / "3.png").write_bytes(whole[: len(whole) // 2])
    text = recipe.read_text().replace(str(ten_images), str(own / ten_images.name))
    recipe.write_text(text.replace("steps: 8", "steps: 2").replace("steps: 4", "steps: 1"))
    return recipe


def test_a_bad_image_is_said_with_its_line_before_a_run_begins(
    with_a_bad_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["train", str(with_a_bad_one)])

    err = capsys.readouterr().err
    assert code == 1
    assert "annotations.jsonl:4: " in err and "3.png: not a readable image" in err
    assert not (with_a_bad_one.parent / "run").exists()


def test_a_bad_image_is_left_out_and_counted_where_the_recipe_allows_it(
    with_a_bad_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_a_bad_one.write_text(f"skip_unreadable: true\n{with_a_bad_one.read_text()}")

    codes = [
        main(["train", str(with_a_bad_one)]),
        main(["train", str(with_a_bad_one), "--resume"]),
    ]

    said = capsys.readouterr().err
    left_out = RunFolder(with_a_bad_one.parent / "run").left_out()
    assert codes == [0, 0]
    assert said.count("left out as unreadable: 1, listed in") == 2
    assert left_out is not None and list(map(len, left_out.values())) == [1, 0]


def test_images_that_say_nothing_a_task_needs_are_an_error(recipe: Path) -> None:
    text = recipe.read_text().replace("licence:", "tasks: {absent: 0}, licence:")
    recipe.write_text(text.replace("ratio: 0.2", "ratio: 0"))

    with pytest.raises(DataError, match="nothing that the recipe's tasks could learn"):
        train(recipe)
