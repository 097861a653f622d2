"""Several processes, as torchrun starts them: the loss of one, with the same samples a step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from skyeye_edge.training import train
from skyeye_edge.training.run_folder import TRAINED

RECIPE = """\
name: processes
base: {base}
run: {run}
threads: 1
scored: 0
log_every: 1
sharded: {sharded}
data: [{{name: own, format: lines, path: {data}}}]
lora: {{rank: 4, alpha: 8, targets: [all-linear], dropout: 0}}
stages:
  - {{name: only, steps: 4, batch: {batch}, learning_rate: 3e-3}}
"""


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


SHARE = """import sys
import torch
from torch.distributed.tensor import DTensor
from skyeye_edge.training import SkyEyeModel
from skyeye_edge.training.lora import add_adapters
from skyeye_edge.training.recipe import LoraRecipe
from skyeye_edge.training.sharding import shard_frozen

torch.distributed.init_process_group("gloo")
model = SkyEyeModel.from_checkpoint(sys.argv[1])
add_adapters(model, LoraRecipe(rank=2), ("lora", "aligner"))
frozen = sum(value.numel() for value in model.parameters() if not value.requires_grad)
shard_frozen(model, ("lora", "aligner"))
shards = [value for value in model.parameters() if isinstance(value, DTensor)]
assert not any(value.requires_grad for value in shards)
here = sum(value.to_local().numel() for value in shards)
with open(f"{sys.argv[2]}.{torch.distributed.get_rank()}", "w") as sink:
    sink.write(str(here / frozen))
"""


def run_two(*command: str) -> None:
    """Run a module or script in two processes, as users do with several GPUs."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ended = subprocess.run(
        [sys.executable, "-m", *torchrun, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_each_process_holds_half_of_what_is_frozen(minute_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "share.py").write_text(SHARE)

    run_two(str(tmp_path / "share.py"), str(minute_checkpoint), str(tmp_path / "share"))

    shares = [float((tmp_path / f"share.{rank}").read_text()) for rank in (0, 1)]
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_two_processes_learn_what_one_does(
    minute_checkpoint: Path, ten_images: Path, tmp_path: Path, sharded: bool
) -> None:
    def write(run: str, batch: int) -> Path:
        path = tmp_path / f"{run}.yaml"
        values = {"base": minute_checkpoint, "data": ten_images}
        path.write_text(RECIPE.format(**values, run=run, batch=batch, sharded=sharded))
        return path

    one = train(write("one", 4))
    run_two("-m", "skyeye_edge", "train", str(write("two", 2)))

    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-4)
    ours, theirs = (load_file(run / "only" / TRAINED) for run in (one, tmp_path / "two"))
    assert ours.keys() == theirs.keys()
    assert max(float((ours[n] - theirs[n]).abs().max()) for n in ours) < 1e-3
