from __future__ import annotations

import pytest

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.figures import Figure
from skyeye_edge.evaluation.scoring.grounding import areas, score_absent, score_ground

NONE = Drawing(draws=0)
TRUTH = (0.0, 0.0, 100.0, 100.0)


def answer(number: int, truth: XYXY, box: XYXY | None, said: str = "") -> Answered:
    return Answered(
        f"{number}", f"{number}.jpg", "ground", asked="the boat", truth=(truth,), size=(1000, 1000),
        outcome="found" if box else "absent", boxes=(box,) if box else (), said=said,
    )  # fmt: skip


# By hand: intersection over union of each pair of boxes.
CHECKED = [
    answer(1, TRUTH, TRUTH),  # 1
    answer(2, TRUTH, (0, 0, 100, 50)),  # exactly one half
    answer(3, TRUTH, (0, 0, 100, 70)),  # 0.7
    answer(4, TRUTH, (50, 50, 150, 150)),  # 2500 / 17500
    answer(5, TRUTH, None),  # not answered
    answer(6, (0, 0, 40, 40), (0, 0, 40, 30)),  # small: 0.75
    answer(7, (0, 0, 200, 200), (100, 100, 300, 300)),  # large: 10000 / 70000
    answer(8, (0, 0, 200, 200), (0, 0, 200, 198)),  # large: 0.99
]


def figures(answers: list[Answered], title: str = "boxes") -> dict[str, Figure]:
    (table,) = (each for each in score_ground(answers, NONE) if each.title == title)
    return {figure.name: figure for figure in table.figures}


def test_a_file_checked_by_hand_gives_its_figures() -> None:
    found = figures(CHECKED)

    overlaps = [1, 0.5, 0.7, 2500 / 17500, 0, 0.75, 10000 / 70000, 0.99]
    both = 10000 + 5000 + 7000 + 2500 + 0 + 1200 + 10000 + 39600
    union = 10000 + 10000 + 10000 + 17500 + 10000 + 1600 + 70000 + 40000
    assert found["Acc@0.5"].value == 100 * 5 / 8
    assert found["Acc@0.7"].value == 100 * 4 / 8
    assert found["mean IoU"].value == pytest.approx(100 * sum(overlaps) / 8)
    assert found["cumulative IoU"].value == pytest.approx(100 * both / union)


def test_sizes_are_told_apart_and_add_up_to_all() -> None:
    found = figures(CHECKED)

    sizes = {name: found[f"{name} objects: Acc@0.5"] for name in ("small", "medium", "large")}
    assert {name: (f.value, f.number) for name, f in sizes.items()} == {
        "small": (100, 1),
        "medium": (60, 5),
        "large": (50, 2),
    }


def test_minigptv2_wants_more_than_a_half_and_counts_one_pixel_more() -> None:
    # 101 x 51 of 101 x 101 pixels is more than a half, which 100 x 50 of 100 x 100 is not
    assert figures([answer(1, TRUTH, (0, 0, 100, 50))], "MiniGPT-v2's convention")[
        "Acc@0.5"
    ].value == pytest.approx(100)
    both, union = areas((0, 0, 100, 49), TRUTH, 1.0)
    assert both / union == pytest.approx(50 / 101)
    assert figures([answer(1, TRUTH, (0, 0, 100, 49))], "MiniGPT-v2's convention")[
        "Acc@0.5"
    ].value == pytest.approx(0)


def test_minigptv2_takes_only_an_answer_that_begins_with_a_box() -> None:
    begins = answer(1, TRUTH, TRUTH, said=" {<0> <0><10><10>} and more")
    later = answer(2, TRUTH, TRUTH, said="the boat {<0><0><10><10>}")

    assert figures([begins], "MiniGPT-v2's convention")["Acc@0.5"].value == 100
    assert figures([later], "MiniGPT-v2's convention")["Acc@0.5"].value == 0
    assert figures([later])["Acc@0.5"].value == 100


def test_an_interval_of_all_right_does_not_pretend_to_be_certain() -> None:
    (table, _) = score_ground([answer(1, TRUTH, TRUTH)], Drawing(draws=100))

    interval = table.figures[0].interval
    assert interval is not None
    assert interval[0] < 50
    (absent,) = score_absent(
        [Answered("1", "1.jpg", "absent", asked="a plane", outcome="absent")], Drawing(draws=100)
    )
    assert absent.figures[0].value == 100
    assert absent.figures[0].interval is not None
    assert absent.figures[0].interval[0] < 50
