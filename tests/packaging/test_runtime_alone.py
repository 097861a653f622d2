"""The runtime does its work where the training stack is not, and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = (
    "torch", "transformers", "peft", "accelerate", "safetensors", "sentencepiece", "onnx",
    "onnxscript", "gguf",
)  # fmt: skip
BLOCKER = f"""
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {BLOCKED!r}:
            raise ModuleNotFoundError('blocked by the test: ' + name, name=name)
sys.meta_path.insert(0, Block())
"""
CAPTION = """
import numpy as np, skyeye_edge as sky
rng = np.random.default_rng(0)
with sky.load({bundle!r}) as model:
    result = model.caption(rng.integers(0, 255, (90, 120, 3)).astype(np.uint8))
    hit = model.ground(np.zeros((90, 120, 3), np.uint8), "a boat")
print(type(result).__name__, type(hit).__name__)
"""


@pytest.fixture
def caption(tiny_bundle: Path) -> str:
    """A program that asks the bundle two things."""
    return CAPTION.format(bundle=str(tiny_bundle))


def run(code: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True)


def test_the_runtime_captions_without_the_training_stack(caption: str) -> None:
    done = run(BLOCKER + caption)

    assert done.stdout.split() == ["TextResult", "GroundResult"], done.stderr


def test_the_command_line_captions_without_the_training_stack(
    tiny_bundle: Path, demo_clip: Path, tmp_path: Path
) -> None:
    arguments = ["caption", str(demo_clip), "--every", "5", "--annotate", "-o", str(tmp_path)]
    arguments += ["--bundle", str(tiny_bundle)]

    done = run(BLOCKER + f"from skyeye_edge.cli import main; sys.exit(main({arguments!r}))")

    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


def test_the_blocker_blocks(tmp_path: Path) -> None:
    code = "from skyeye_edge.cli import main; sys.exit(main(['train', 'x.yaml']))"

    done = run(BLOCKER + code)

    assert done.returncode == 2
    assert "skyeye-edge[training]" in done.stderr


@pytest.mark.netns
def test_the_runtime_needs_no_network(caption: str) -> None:
    done = run(caption, "unshare", "-rn")

    assert done.stdout.split() == ["TextResult", "GroundResult"], done.stderr
