from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.holding_out import hold_out


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> list[Annotation]:
    """Different images; the last ten look like the first one."""
    folder = tmp_path_factory.mktemp("images")
    chance = np.random.default_rng(0)
    pictures = [chance.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(20)]
    pictures += [np.clip(pictures[0].astype(int) + step, 0, 255) for step in range(10)]
    items = []
    for number, pixels in enumerate(pictures):
        large = Image.fromarray(pixels.astype(np.uint8)).resize((90, 90), Image.Resampling.BICUBIC)
        large.save(folder / f"{number}.png")
        items.append(Annotation((folder / f"{number}.png",), (f"picture {number} .",)))
    return items


def names(items: tuple[Annotation, ...]) -> list[str]:
    return [item.image.stem for item in items if isinstance(item.image, Path)]


def test_a_tenth_is_held_out_and_nothing_is_lost(thirty: list[Annotation]) -> None:
    trained, held = hold_out(thirty, 0.1, 1)

    assert len(held) == 3
    assert sorted(names(trained) + names(held)) == sorted(names(tuple(thirty)))


def test_the_same_seed_holds_out_the_same_and_another_one_others(
    thirty: list[Annotation],
) -> None:
    again = hold_out(list(reversed(thirty)), 0.1, 1)[1]

    assert sorted(names(hold_out(thirty, 0.1, 1)[1])) == sorted(names(again))
    assert len({tuple(names(hold_out(thirty, 0.1, seed)[1])) for seed in range(5)}) > 1


def test_images_that_look_alike_are_never_on_both_sides(thirty: list[Annotation]) -> None:
    alike = {"0", *map(str, range(20, 30))}

    sides = [hold_out(thirty, 0.5, seed) for seed in range(10)]

    assert all(alike <= set(names(a)) or alike <= set(names(b)) for a, b in sides)
    assert any(alike <= set(names(held)) for _, held in sides)


def test_several_lines_about_one_image_stay_together(thirty: list[Annotation]) -> None:
    twice = [*thirty[:10], *thirty[:10]]

    trained, held = hold_out(twice, 0.2, 1)

    assert len(held) == 4
    assert not set(names(trained)) & set(names(held))


@pytest.mark.parametrize(
    ("first", "last", "share"),
    [
        pytest.param(0, 10, 0.0, id="not wanted"),
        pytest.param(0, 4, 0.1, id="four images"),
        pytest.param(20, 30, 0.1, id="all alike"),
    ],
)
def test_nothing_is_held_out(thirty: list[Annotation], first: int, last: int, share: float) -> None:
    assert hold_out(thirty[first:last], share, 1) == (tuple(thirty[first:last]), ())


def test_one_of_ten_is_held_out(thirty: list[Annotation]) -> None:
    assert len(hold_out(thirty[:10], 0.04, 1)[1]) == 1
