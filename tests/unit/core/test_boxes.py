"""Pixels to bins and back, and boxes in text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import (
    Bins,
    Box,
    BoxSpec,
    box_bins,
    box_pixels,
    box_text,
    dequantise,
    is_box,
    parse_boxes,
    quantise,
)
from skyeye_edge.core.errors import InputError

SPECS = [
    BoxSpec(bins=bins, labels=labels) for bins in (100, 1000) for labels in ("rounded", "truncated")
]
specs = st.sampled_from(SPECS)
sizes = st.integers(1, 8192)


@given(part=st.floats(0, 1), size=sizes, spec=specs)
def test_an_edge_comes_back_within_half_a_bin(part: float, size: int, spec: BoxSpec) -> None:
    edge = part * size

    back = dequantise(quantise(edge, size, spec), size, spec)

    assert abs(back - edge) <= size / spec.bins / 2 * (1 + 1e-9)


@given(step=st.integers(0, 1000), size=sizes, spec=specs)
def test_every_bin_means_an_edge_that_has_this_bin(step: int, size: int, spec: BoxSpec) -> None:
    assume(step <= spec.bins)

    assert quantise(dequantise(step, size, spec), size, spec) == step


@given(edges=st.lists(st.floats(-100, 9000), min_size=2, max_size=2), size=sizes, spec=specs)
def test_order_is_kept(edges: list[float], size: int, spec: BoxSpec) -> None:
    low, high = sorted(edges)

    assert quantise(low, size, spec) <= quantise(high, size, spec)


@given(
    corners=st.tuples(*[st.floats(0, 1)] * 4), bins=st.sampled_from([7, 100]),
    min_size=st.integers(0, 7),
)  # fmt: skip
def test_a_box_is_never_written_smaller_than_the_model_may_answer(
    corners: tuple[float, float, float, float], bins: int, min_size: int
) -> None:
    spec = BoxSpec(bins=bins, min_size=min_size)
    x1, x2 = sorted((corners[0], corners[2]))
    y1, y2 = sorted((corners[1], corners[3]))

    written = box_bins((x1, y1, x2, y2), (1, 1), spec)

    assert is_box(written, spec)


@pytest.mark.parametrize("min_size", [-1, 101])
def test_a_least_size_that_no_box_can_have_is_refused(min_size: int) -> None:
    with pytest.raises(InputError, match="min_size"):
        BoxSpec(min_size=min_size)


@given(edge=st.floats(-1e9, 1e9), size=sizes, spec=specs)
def test_edges_outside_the_image_stay_in_range(edge: float, size: int, spec: BoxSpec) -> None:
    step = quantise(edge, size, spec)

    assert 0 <= step <= spec.bins
    assert 0 <= dequantise(step, size, spec) <= size


@pytest.mark.parametrize(
    ("labels", "step", "edge"),
    [
        pytest.param("truncated", 12, 12.5, id="truncated labels mean the middle of their bin"),
        pytest.param("truncated", 100, 100.0, id="the last truncated label is the image's end"),
        pytest.param("rounded", 12, 12.0, id="rounded labels mean what they say"),
    ],
)
def test_a_bin_decodes_by_the_rule_that_made_it(labels: Any, step: int, edge: float) -> None:
    assert dequantise(step, 100, BoxSpec(labels=labels)) == edge


@given(corners=st.tuples(*[st.floats(0, 1)] * 4), width=sizes, height=sizes, spec=specs)
def test_a_box_survives_its_text(
    corners: tuple[float, float, float, float], width: int, height: int, spec: BoxSpec
) -> None:
    x1, x2 = sorted((corners[0] * width, corners[2] * width))
    y1, y2 = sorted((corners[1] * height, corners[3] * height))

    text = box_text((x1, y1, x2, y2), (width, height), spec)
    parsed = parse_boxes(text)

    assert parsed.complete
    assert parsed.corners == [box_bins((x1, y1, x2, y2), (width, height), spec)]
    back = box_pixels(parsed.corners[0], (width, height), spec)
    assert box_text(back, (width, height), spec) == text
    Box(back)


@pytest.mark.parametrize(
    ("text", "corners", "complete"),
    [
        pytest.param("{<10><20><30><40>}", [(10, 20, 30, 40)], True, id="one box"),
        pytest.param("a road, no numbers", [], True, id="prose without a box"),
        pytest.param("{<10><20><30>", [], False, id="cut off inside the box"),
        pytest.param("{<1><2><3><4>}<delim>{<5", [(1, 2, 3, 4)], False, id="cut in the second"),
        pytest.param("{<1><2><3><4><5>}", [], False, id="five numbers are no box"),
        pytest.param("{<1><2><3><-4>}", [], False, id="a negative number is no coordinate"),
        pytest.param("{<1000><0><1000><999>}", [(1000, 0, 1000, 999)], True, id="1000 bins"),
    ],
)
def test_boxes_are_read_from_text(text: str, corners: list[Bins], complete: bool) -> None:
    parsed = parse_boxes(text)

    assert (parsed.corners, parsed.complete) == (corners, complete)


@pytest.mark.parametrize(
    ("bins", "good"),
    [
        pytest.param((0, 0, 100, 100), True, id="the whole image"),
        pytest.param((7, 7, 7, 7), True, id="zero area is legal"),
        pytest.param((8, 0, 7, 9), False, id="left and right swapped"),
        pytest.param((0, 9, 7, 8), False, id="top and bottom swapped"),
        pytest.param((0, 0, 101, 9), False, id="beyond the image"),
    ],
)
def test_bins_from_free_text_are_checked(bins: Bins, good: bool) -> None:
    assert is_box(bins, BoxSpec()) is good


@pytest.mark.parametrize(
    "xyxy",
    [(2, 0, 1, 1), (0, 2, 1, 1), (math.nan, 0, 1, 1), (0, 0, math.inf, 1), (-math.inf, 0, 1, 1)],
)
def test_a_box_that_is_none_cannot_be_made(xyxy: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match="left, top, right, bottom"):
        Box(xyxy)


@pytest.mark.parametrize(
    "values",
    [{"bins": 0}, {"labels": "ceiled"}, {"format": "json"}, {"absent": "{}"}, {"absent": " no"}],
    ids=str,
)
def test_an_unknown_way_to_write_boxes_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"known|plain words"):
        BoxSpec(**values)
