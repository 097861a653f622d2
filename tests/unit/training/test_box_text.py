from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import BoxSpec, box_text
from skyeye_edge.core.results import PLACE
from skyeye_edge.training.data.readers.box_text import read_boxed_text
from skyeye_edge.training.data.readers.entries import Entry

ENTRY = Entry(Path("x.json"), 3, {})
SIZE = (300, 200)
SPECS = {
    "minigptv2": BoxSpec(),
    "geochat": BoxSpec(format="geochat"),
    "normalised": BoxSpec(bins=1000, format="normalised"),
}
SIDE = st.tuples(st.integers(0, 98), st.integers(1, 99)).map(lambda s: (s[0], min(99, s[0] + s[1])))


@given(across=SIDE, down=SIDE, name=st.sampled_from(sorted(SPECS)), angle=st.integers(0, 179))
def test_a_box_means_the_same_pixels_in_every_language(
    across: tuple[int, int], down: tuple[int, int], name: str, angle: int
) -> None:
    box = (across[0] * 3.0, down[0] * 2.0, across[1] * 3.0 + 3, down[1] * 2.0 + 2)
    turned = angle if name == "geochat" else 0
    text = f"the ship at {box_text(box, SIZE, SPECS[name], turned)} is white"

    read = read_boxed_text(text, SIZE, ENTRY)

    assert read.words == f"the ship at {PLACE} is white"
    assert [round(edge) for edge in read.boxes[0].xyxy] == [round(edge) for edge in box]
    assert read.boxes[0].angle == turned


@pytest.mark.parametrize(
    ("text", "words", "groups"),
    [
        pytest.param("no box at all", "no box at all", [], id="words"),
        pytest.param(
            "<p>two ships</p> {<0><0><10><10>}{<20><0><30><10>}",
            "two ships",
            [("two ships", 2)],
            id="boxes without a mark between",
        ),
        pytest.param(
            "between {<0><0><10><10>} and {<20><0><30><10>}",
            f"between {PLACE} and {PLACE}",
            [("", 1), ("", 1)],
            id="boxes with words between",
        ),
        pytest.param(
            "<p>a pier</p> and <p>a ship</p> {<0><0><10><10>}",
            "a pier and a ship",
            [("a ship", 1)],
            id="marked words without a box",
        ),
        pytest.param(
            "[0.1, 0.1, 0.2, 0.2] then {<0><0><10><10>}",
            f"{PLACE} then {PLACE}",
            [("", 1), ("", 1)],
            id="two languages in their order",
        ),
        pytest.param("the list [3, 4, 5, 6]", "the list [3, 4, 5, 6]", [], id="whole numbers"),
    ],
)
def test_words_and_boxes_are_parted(text: str, words: str, groups: list[tuple[str, int]]) -> None:
    read = read_boxed_text(text, SIZE, ENTRY)

    assert read.words == words
    assert [(name, len(boxes)) for name, boxes in read.groups] == groups
