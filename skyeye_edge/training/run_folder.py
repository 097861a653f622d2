"""The folder of a training run, and what stands where in it.

run/
  recipe.yaml            as it was given
  run.json               where the recipe's paths start
  log.jsonl              loss, learning rate and speed; one line per `log_every` steps
  curves.png             the same as a picture, at the end
  tensorboard/<stage>/   the same for TensorBoard, while it runs
  <name>.captions.json   what the base said about the pictures of format `recalled`
  left_out.json          what could not be read, by data set, where the recipe skips it
  scores.json            questions about some images, asked before and after
  before_after.jpg       the same as pictures, at the end
  <stage>/checkpoint-N/  to go on from
  <stage>/trained.safetensors   adapters, aligner and what else was trained, at its end
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.training.lora import trained_tensors
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.recipe import Part, Recipe, read_recipe

TRAINED = "trained.safetensors"
_RECIPE, _RUN, _LOG = "recipe.yaml", "run.json", "log.jsonl"
_STATE = "trainer_state.json"  # what the Trainer writes last into a checkpoint


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @property
    def log(self) -> Path:
        """The file with one JSON object per logged step."""
        return self.path / _LOG

    @property
    def curves(self) -> Path:
        """The picture of the log."""
        return self.path / "curves.png"

    @property
    def sheet(self) -> Path:
        """The picture of answers before and after."""
        return self.path / "before_after.jpg"

    def board(self, stage: str) -> Path:
        """What TensorBoard shows of a stage."""
        return self.path / "tensorboard" / stage

    def recalled(self, name: str) -> Path:
        """What the base said about the pictures of a data set."""
        return self.path / f"{name}.captions.json"

    def left_out(self) -> dict[str, list[str]] | None:
        """What could not be read when the run began, by data set; None before it began."""
        if not self._left_out.exists():
            return None
        known: dict[str, list[str]] = json.loads(self._left_out.read_text("utf-8"))
        return known

    def keep_left_out(self, names: Mapping[str, Collection[str]]) -> None:
        """Note it: a run that goes on leaves out the same."""
        told = {name: list(places) for name, places in names.items()}
        write_whole(self._left_out, json.dumps(told, indent=1, ensure_ascii=False))

    @property
    def _left_out(self) -> Path:
        return self.path / "left_out.json"

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.path / name

    def recipe(self) -> Recipe:
        """The recipe that the run was started with.

        Raises:
            InputError: this is no run folder.
        """
        try:
            values = json.loads((self.path / _RUN).read_text("utf-8"))
            start = Path(os.path.normpath(self.path.absolute() / values["paths_start"]))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.path}: no run of `skyeye-edge train`: {_RUN}: {error}"
            ) from error
        return read_recipe(self.path / _RECIPE, start)

    def last_checkpoint(self, stage: str) -> Path | None:
        """The newest whole checkpoint of a stage; one that a kill cut short is passed over."""
        found = [
            (int(state.parent.name.rpartition("-")[2]), state.parent)
            for state in self.stage(stage).glob(f"checkpoint-*/{_STATE}")
            if _is_json(state)
        ]
        return max(found)[1] if found else None


def open_run(recipe_file: Path, recipe: Recipe, *, resume: bool) -> RunFolder:
    """The folder of a run: a new one, or with `resume` one that the same recipe has begun.

    Raises:
        InputError: it exists and `resume` is False, or another recipe began it.
    """
    run = RunFolder(recipe.run)
    begun = run.path / _RECIPE
    if not begun.exists():
        if run.path.is_dir() and any(run.path.iterdir()):
            raise InputError(f"{run.path}: is not empty; give another `run` in {recipe_file}")
        run.path.mkdir(parents=True, exist_ok=True)
        start = os.path.relpath(recipe_file.absolute().parent, run.path.absolute())
        (run.path / _RUN).write_text(json.dumps({"paths_start": start}) + "\n", "utf-8")
        shutil.copyfile(recipe_file, begun)
        return run
    if not resume:
        raise InputError(
            f"{run.path}: this run was begun before; --resume goes on with it, "
            f"or give another `run` in {recipe_file}"
        )
    if begun.read_bytes() != recipe_file.read_bytes():
        raise InputError(
            f"{recipe_file}: has changed since the run began ({begun}); "
            "put it back, or give another `run`"
        )
    return run


def write_log(run: RunFolder, values: Mapping[str, Any]) -> None:
    """Append a line."""
    with run.log.open("a", encoding="utf-8") as sink:
        sink.write(json.dumps(values) + "\n")


def read_log(run: RunFolder) -> list[dict[str, Any]]:
    """All lines; none if there is no log yet. A torn last line is left out."""
    if not run.log.exists():
        return []
    lines = run.log.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def cut_log(run: RunFolder, stage: str, step: int) -> None:
    """Forget what was logged of a stage after `step`: it will happen again."""
    kept = [line for line in read_log(run) if line["stage"] != stage or line["step"] <= step]
    run.log.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")


def write_whole(file: Path, text: str) -> None:
    """Write a text file that is there whole or not at all."""
    draft = file.with_name(file.name + ".new")
    draft.write_text(text + "\n", "utf-8")
    draft.replace(file)


def write_trained(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write what was trained; the file is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, draft)
    draft.replace(file)


def load_trained(model: SkyEyeModel, parts: Collection[Part], file: Path) -> None:
    """Put what a run has trained of these parts into an adapted model.

    Raises:
        CheckpointError: the file is missing, or belongs to another model or recipe.
    """
    try:
        tensors = load_file(file)
        if odd := sorted(trained_tensors(model, parts).keys() ^ tensors.keys()):
            raise CheckpointError(f"{file}: does not fit the recipe's adapters: {odd[0]}")
        model.load_state_dict(tensors, strict=False)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{file}: no usable adapters: {error}") from error


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True
