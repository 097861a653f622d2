from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skyeye_edge.training.recipe import read_recipe

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs_from_any_folder_and_says_something(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_read_in_a_minute(script: Path) -> None:
    assert len(script.read_text("utf-8").splitlines()) < 60


def test_the_recipe_of_the_fine_tuning_example_is_one(repo: Path, tmp_path: Path) -> None:
    page = (repo / "examples" / "finetune_your_own.md").read_text("utf-8")
    (tmp_path / "my_recipe.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], "utf-8")

    recipe = read_recipe(tmp_path / "my_recipe.yaml")

    assert [source.name for source in recipe.data] == ["mine", "drawn", "old"]
