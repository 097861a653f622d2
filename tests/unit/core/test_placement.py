"""Labels stand near their boxes, in the picture, and never on one another."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.placement import Rectangle, place_labels

ROOM = (200, 100)
boxes = st.lists(
    st.tuples(st.integers(0, 190), st.integers(0, 90), st.integers(1, 99), st.integers(1, 50)).map(
        lambda b: Rectangle(b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=12,
)
sizes = st.tuples(st.integers(1, 120), st.integers(5, 30))


@given(boxes=boxes, size=sizes)
def test_no_label_overlaps_another_or_leaves_the_picture(
    boxes: list[Rectangle], size: tuple[int, int]
) -> None:
    places = place_labels(boxes, [size] * len(boxes), ROOM)

    found = [place for place in places if place is not None]
    assert len(places) == len(boxes)
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))
    assert all(Rectangle(0, 0, *ROOM).holds(place) for place in found)
    assert all((place.width, place.height) == size for place in found)


def test_a_label_stands_above_its_box_where_there_is_room() -> None:
    (place,) = place_labels([Rectangle(50, 40, 90, 60)], [(30, 10)], ROOM)

    assert place == Rectangle(50, 30, 80, 40)


def test_a_box_that_fills_the_picture_has_its_label_inside() -> None:
    (place,) = place_labels([Rectangle(0, 0, 200, 100)], [(30, 10)], ROOM)

    assert place == Rectangle(0, 0, 30, 10)


def test_a_label_at_the_right_edge_is_moved_inwards() -> None:
    (place,) = place_labels([Rectangle(190, 40, 200, 60)], [(30, 10)], ROOM)

    assert place == Rectangle(170, 30, 200, 40)


def test_boxes_at_one_place_have_all_their_labels() -> None:
    places = place_labels([Rectangle(50, 40, 90, 60)] * 5, [(30, 10)] * 5, ROOM)

    assert None not in places
    assert len(set(places)) == 5


def test_a_label_spares_the_lines_of_other_boxes_where_it_can() -> None:
    row = [Rectangle(20 + 25 * n, 40, 40 + 25 * n, 55) for n in range(6)]

    places = place_labels(row, [(45, 10)] * 6, ROOM)

    assert not any(place.overlaps(box) for place in places if place for box in row)


def test_a_label_that_finds_no_place_is_left_out() -> None:
    places = place_labels([Rectangle(0, 0, 20, 20)] * 3, [(20, 15)] * 3, (20, 30))

    assert [place is None for place in places] == [False, False, True]
