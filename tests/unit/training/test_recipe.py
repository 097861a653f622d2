from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.recipe import Recipe, StageRecipe, read_recipe, show_recipe

PLAIN = """\
name: my-model
base: ../base
run: run
data:
  - {name: own, format: lines, path: own/annotations.jsonl}
stages:
  - {name: only, steps: 10, learning_rate: 1e-4}
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a recipe file."""

    def to_file(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, "utf-8")
        return path

    return to_file


def test_paths_are_relative_to_the_recipe(write: Write, tmp_path: Path) -> None:
    recipe = read_recipe(write(PLAIN))

    assert recipe.base == tmp_path / ".." / "base"
    assert recipe.data[0].path == tmp_path / "own" / "annotations.jsonl"


def test_what_is_not_said_is_what_skyeyegpt_did(write: Write) -> None:
    recipe = read_recipe(write(PLAIN))

    assert (recipe.lora.rank, recipe.lora.alpha) == (64, 16)
    assert recipe.lora.targets == ("q_proj", "v_proj")
    assert (recipe.stages[0].weight_decay, recipe.stages[0].batch) == (0.05, 1)


def test_tasks_name_what_is_made_from_boxes_too(write: Write) -> None:
    said = PLAIN.replace("jsonl}", "jsonl, tasks: {phrase: 2, reason: 1}, frames: 6}")

    source = read_recipe(write(said)).data[0]

    assert (source.tasks, source.frames) == ({"phrase": 2, "reason": 1}, 6)


def test_a_power_of_ten_without_a_point_is_a_number(write: Write) -> None:
    assert read_recipe(write(PLAIN)).stages[0].learning_rate == 1e-4


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 1e-6), (500, 5.5e-6), (999, 9.991e-6), (1000, 9.99112e-6), (25000, 5.5e-6), (50000, 1e-6)],
)
def test_the_learning_rate_is_minigptv2s(step: int, rate: float) -> None:
    stage = StageRecipe("tune", steps=50000, warm_up=1000, learning_rate=1e-5)

    assert stage.learning_rate_at(step) == pytest.approx(rate, rel=1e-6)


def test_a_warm_up_begins_where_the_recipe_says(write: Write) -> None:
    said = PLAIN.replace("1e-4}", "1e-4, warm_up: 10, first_learning_rate: 2e-5}")

    stage = read_recipe(write(said)).stages[0]

    assert [stage.learning_rate_at(step) for step in (0, 5)] == pytest.approx([2e-5, 6e-5])


@pytest.mark.parametrize("name", ["fine_tune", "skyeyegpt", "skyeye-tiny", "skyeye-tiny-open"])
def test_the_packaged_recipes_are_right_and_shown_with_all_defaults(
    repo: Path, write: Write, name: str
) -> None:
    folder = repo / "skyeye_edge" / "training" / "recipes"

    recipe = read_recipe(folder / f"{name}.yaml")

    assert isinstance(recipe, Recipe)
    shown = write(show_recipe(recipe))
    assert read_recipe(shown) == recipe
    assert "weight_decay: 0.05" in shown.read_text() and "dropout: 0.05" in shown.read_text()


def test_the_packaged_tiny_recipe_has_two_stages_of_which_only_the_second_converses(
    repo: Path,
) -> None:
    recipe = read_recipe(repo / "skyeye_edge" / "training" / "recipes" / "skyeye-tiny.yaml")

    assert [stage.conversations > 0 for stage in recipe.stages] == [False, True]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        pytest.param(
            "steps",
            "stepz",
            "stages[0]: 'stepz' is not known; did you mean 'steps'?",
            id="unknown key",
        ),
        pytest.param(
            "lines",
            "line",
            "data[0]: format: 'line' is not known; did you mean 'lines'?",
            id="unknown format",
        ),
        pytest.param("name: my-model\n", "", "'name' is missing", id="missing key"),
        pytest.param("10", "ten", "stages[0].steps: 'ten'; give a whole number", id="words"),
        pytest.param("10", "0", "stages[0]: say how long: steps, or epochs", id="no steps"),
        pytest.param("10", "10, epochs: 2", "only: give steps or epochs, not both", id="both"),
        pytest.param("jsonl", "jsonl, cap: 9", "cap is of an epoch; give epochs", id="cap"),
        pytest.param("1e-4", "fast", "stages[0].learning_rate: 'fast'; give a number", id="rate"),
        pytest.param("run: run", "run: 7", "run: 7; give a path", id="no path"),
        pytest.param(
            "10",
            "10, ratios: {ovn: 1}",
            "'ovn' is not known; did you mean 'own'?",
            id="ratio of nothing",
        ),
        pytest.param(
            "10", "10, ratios: {own: 0}", "no data set has a ratio above 0", id="nothing drawn"
        ),
        pytest.param(
            "lines", "lines, tasks: {caption: -1}", "data[0]: ratios", id="negative ratio"
        ),
        pytest.param("format: lines", "format: synthetic", "scenes: say how many", id="no scenes"),
        pytest.param(
            "lines",
            "lines, hold_out: 0.9",
            "hold_out is a share of the images",
            id="nearly all held",
        ),
        pytest.param("run: run", "scored: -1\nrun: run", "scored is a number", id="scored"),
        pytest.param(
            "path: own/annotations.jsonl", "split: val", "'path' is missing", id="no file"
        ),
        pytest.param("run: run", "lora: {rank: 0}\nrun: run", "lora: rank must be", id="rank 0"),
        pytest.param(
            "run: run", "instructions: lava\nrun: run", "did you mean 'llava'?", id="instructions"
        ),
        pytest.param("run: run", "run: [", "recipe.yaml:5: not YAML", id="no YAML"),
        pytest.param("stages:\n", "stages: 3\nx:\n", "'x' is not known", id="unknown first"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(
    write: Write, before: str, after: str, says: str
) -> None:
    path = write(PLAIN.replace(before, after, 1))

    with pytest.raises(InputError) as raised:
        read_recipe(path)

    assert str(path) in str(raised.value)
    assert says in str(raised.value)


@pytest.mark.parametrize("text", ["", "- a list", "words"])
def test_a_file_without_keys_is_refused(write: Write, text: str) -> None:
    with pytest.raises(InputError, match="give keys and values"):
        read_recipe(write(text))


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable recipe"):
        read_recipe(tmp_path / "nowhere.yaml")
