from __future__ import annotations

from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.recipe import Recipe, read_recipe
from skyeye_edge.training.run_folder import RunFolder, cut_log, open_run, read_log, write_log

RECIPE = """\
name: x
base: base
run: runs/one
data: [{name: own, format: lines, path: a.jsonl}]
stages: [{name: only, steps: 10}]
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return read_recipe(recipe_file)


def test_a_run_remembers_its_recipe_wherever_both_are_moved(
    recipe_file: Path, recipe: Recipe, tmp_path: Path
) -> None:
    run = open_run(recipe_file, recipe, resume=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").rename(tmp_path / "elsewhere" / "runs")

    found = RunFolder(tmp_path / "elsewhere" / "runs" / "one").recipe()

    assert run.path == tmp_path / "runs" / "one"
    assert found.base == tmp_path / "elsewhere" / "base"


def test_a_run_is_not_begun_twice_by_accident(recipe_file: Path, recipe: Recipe) -> None:
    open_run(recipe_file, recipe, resume=False)

    with pytest.raises(InputError, match="--resume goes on with it"):
        open_run(recipe_file, recipe, resume=False)


def test_a_changed_recipe_cannot_go_on_with_a_run(recipe_file: Path, recipe: Recipe) -> None:
    open_run(recipe_file, recipe, resume=False)
    recipe_file.write_text(RECIPE.replace("10", "20"))

    with pytest.raises(InputError, match="has changed since the run began"):
        open_run(recipe_file, recipe, resume=True)


def test_a_folder_with_other_things_in_it_is_left_alone(recipe_file: Path, recipe: Recipe) -> None:
    recipe.run.mkdir(parents=True)
    (recipe.run / "thesis.tex").touch()

    with pytest.raises(InputError, match="is not empty"):
        open_run(recipe_file, recipe, resume=True)


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step, state in ((9, "{}"), (10, "{}"), (20, '{"cut')):
        folder = tmp_path / "only" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(state)

    last = run.last_checkpoint("only")

    assert last is not None
    assert last.name == "checkpoint-10"


def test_the_log_forgets_what_will_happen_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for stage, step in (("one", 5), ("one", 10), ("two", 5), ("two", 10)):
        write_log(run, {"stage": stage, "step": step})
    with run.log.open("a") as sink:
        sink.write('{"stage": "two", "st')

    cut_log(run, "two", 5)

    assert [(line["stage"], line["step"]) for line in read_log(run)] == [
        ("one", 5),
        ("one", 10),
        ("two", 5),
    ]


def test_no_run_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run of `skyeye-edge train`"):
        RunFolder(tmp_path).recipe()
