"""Every way to write boxes can be written, read, and held to by the automaton."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.automaton import Automaton, Vocabulary, task_automaton
from skyeye_edge.core.box_languages import LANGUAGES
from skyeye_edge.core.boxes import (
    XYXY,
    Box,
    BoxSpec,
    Size,
    box_pixels,
    box_text,
    is_box,
    parse_boxes,
    read_box,
)
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.parsing import format_answer, parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import DetectResult, GroundResult, TextResult
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Ask, Describe, Detect, Ground

BYTES = Vocabulary((None, None, None, *(bytes([byte]) for byte in range(256))), 2, lambda text: [
    3 + byte for byte in text.encode()
])  # fmt: skip
SPECS = [
    BoxSpec(format=name, within=within, bins=bins)
    for name in LANGUAGES
    for within in ("image", "padded", "cropped")
    for bins in (100, 1000)
]
specs = st.sampled_from(SPECS)
sizes = st.tuples(st.integers(20, 4000), st.integers(20, 4000))
GEOCHAT = BoxSpec(format="geochat", within="padded")
SHARES = BoxSpec(format="normalised", within="padded")


def box_in(size: Size, corners: tuple[float, float, float, float]) -> XYXY:
    (x1, x2), (y1, y2) = sorted(corners[::2]), sorted(corners[1::2])
    return x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]


def reply(text: str, stopped: str = "end") -> Reply:
    pieces = tuple(bytes([byte]) for byte in text.encode())
    n = len(pieces)
    return Reply(tuple(range(n)), pieces, (0.5,) * n, (True,) * n, stopped)  # type: ignore[arg-type]


@settings(max_examples=300)
@given(
    spec=specs, size=sizes, corners=st.tuples(*[st.floats(0, 1)] * 4), angle=st.integers(-180, 180)
)
def test_what_was_written_is_read_and_written_again(
    spec: BoxSpec, size: Size, corners: tuple[float, float, float, float], angle: int
) -> None:
    text = box_text(box_in(size, corners), size, spec, angle)

    found = spec.language.box.fullmatch(text)
    assert found is not None
    bins, read = read_box(found, spec)

    assert read == (angle % 180 if spec.language.turned else 0)
    assert is_box(bins, spec)
    assert parse_boxes(text, spec).complete
    assert box_text(box_pixels(bins, size, spec, read), size, spec, read) == text


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (BoxSpec(), "{<12><30><55><78>}"),
        (BoxSpec(format="geochat"), "{<12><30><55><78>|<41>}"),
        (BoxSpec(format="normalised"), "[0.12, 0.30, 0.55, 0.78]"),
        (BoxSpec(format="normalised", bins=1000), "[0.120, 0.300, 0.550, 0.780]"),
    ],
)
def test_each_language_reads_as_its_models_write_it(spec: BoxSpec, text: str) -> None:
    assert box_text((12, 30, 55, 78), (100, 100), spec, 41) == text


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ("[0.12, 0.3, 0.55, 1.0]", (12, 30, 55, 100)),
        ("[0.12,0.30,0.555,1]", (12, 30, 55.5, 100)),
        ("[0, 0, 0.5, 0.5]", (0, 0, 50, 50)),
    ],
)
def test_shares_are_read_however_many_digits_they_have(
    text: str, corners: tuple[float, ...]
) -> None:
    assert parse_boxes(text, SHARES).corners == [corners]


def text_of(automaton: Automaton, seed: int) -> str:
    choose, state, text = random.Random(seed), automaton.start(), b""
    for _ in range(1000):
        allowed = [int(token) for token in state.allowed()]
        ends = BYTES.end in allowed and (choose.random() < 0.7 or len(allowed) == 1)
        if ends:
            return text.decode()
        token = choose.choice([token for token in allowed if token != BYTES.end])
        text += BYTES.pieces[token] or b""
        state = state.advance(token)
    raise AssertionError(f"no end: {text!r}")


@settings(max_examples=200)
@given(
    spec=specs, task=st.sampled_from([Ground("a car"), Detect("car")]), seed=st.integers(0, 10**6)
)
def test_the_automaton_writes_nothing_but_boxes_that_can_be_read(
    spec: BoxSpec, task: Ground | Detect, seed: int
) -> None:
    automaton = task_automaton(task, BYTES, ModelSpec(VisionSpec(112, 16, 256), boxes=spec))
    assert automaton is not None

    said = text_of(automaton, seed)
    result = parse_reply(task, reply(said), (640, 480), spec)

    parsed = parse_boxes(said, spec)
    assert parsed.complete
    assert parsed.corners
    assert all(is_box(corners, spec) for corners in parsed.corners)
    assert result.outcome == "found"


@settings(max_examples=200)
@given(
    spec=specs, size=sizes, corners=st.tuples(*[st.floats(0, 1)] * 4), angle=st.integers(0, 179),
    many=st.integers(1, 3),
)  # fmt: skip
def test_every_box_that_training_writes_fits_the_automaton(
    spec: BoxSpec, size: Size, corners: tuple[float, float, float, float], angle: int, many: int
) -> None:
    box = Box(box_in(size, corners), angle=angle)
    answer = format_answer(DetectResult("car", "found", (box,) * many), size, spec)
    model = ModelSpec(VisionSpec(112, 16, 256), boxes=spec)
    automaton = task_automaton(Detect("car"), BYTES, model)
    assert automaton is not None

    state = automaton.start()
    for token in BYTES.encode(answer):
        state = state.advance(token)

    assert BYTES.end in state.allowed()


def test_geochats_rotation_is_kept_in_the_result() -> None:
    said = reply("{<10><20><30><40>|<30>}")

    result = parse_reply(Ground("a ship"), said, (100, 100), BoxSpec(format="geochat"))

    assert isinstance(result, GroundResult)
    assert (result.boxes[0].xyxy, result.boxes[0].angle) == ((10, 20, 30, 40), 30.0)
    assert result.to_dict()["boxes"][0]["angle"] == 30.0


def test_phrases_of_geochat_carry_all_their_boxes() -> None:
    said = reply(
        "<p> 2 ships </p> {<1><2><3><4>|<90>}<delim>{<5><6><7><8>|<0>} at <p>a quay</p> "
        "{<0><0><9><9>|<5>}{<1><1><2><2>|<6>} ."
    )

    result = parse_reply(Describe(boxes=True), said, (100, 100), BoxSpec(format="geochat"))

    assert isinstance(result, TextResult)
    assert result.text == "2 ships at a quay."
    assert [(name, [box.angle for box in boxes]) for name, boxes in result.phrases] == [
        ("2 ships", [90.0, 0.0]), ("a quay", [5.0, 6.0]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "text", "outcome"),
    [
        pytest.param(GEOCHAT, "{<1><2><3><4>}", "found", id="no angle"),
        pytest.param(GEOCHAT, "{<1><2><3><4>|<999>}", "found", id="an angle of several turns"),
        pytest.param(GEOCHAT, "{<1><2><3><4>|<9", "unreadable", id="broken off in the angle"),
        pytest.param(SHARES, "[0.1, 0.2, 0.3]", "unreadable", id="three numbers"),
        pytest.param(SHARES, "[0.4, 0.2, 0.3, 0.9]", "unreadable", id="left and right swapped"),
        pytest.param(SHARES, "{<1><2><3><4>}", "unreadable", id="another language"),
    ],
)
def test_boxes_of_free_text_are_checked(spec: BoxSpec, text: str, outcome: str) -> None:
    assert parse_reply(Ground("a car"), reply(text), (100, 100), spec).outcome == outcome


@pytest.mark.parametrize(
    ("spec", "said", "text", "outcome"),
    [
        (SHARES, "a car [0.1, 0.2, 0.3, 0.4] here", "a car here", "text"),
        (SHARES, "rows [sic] of cars", "rows [sic] of cars", "text"),
        (SHARES, "a car [0.1, 0.", "a car", "unreadable"),
        (GEOCHAT, "a car {<1><2><3><4>|<9>} here", "a car here", "text"),
        (GEOCHAT, "a car {<1><2><3><4>|<9", "a car", "unreadable"),
    ],
)
def test_marks_of_boxes_are_no_words(spec: BoxSpec, said: str, text: str, outcome: str) -> None:
    result = parse_reply(Ask("what is there?"), reply(said), (100, 100), spec)

    assert (result.text, result.outcome) == (text, outcome)


@pytest.mark.parametrize(
    ("within", "size", "text"),
    [
        pytest.param("image", (200, 100), "[0.25, 0.50, 0.50, 1.00]", id="shares of the image"),
        pytest.param("padded", (200, 100), "[0.25, 0.50, 0.50, 0.75]", id="of the padded square"),
        pytest.param("padded", (100, 200), "[0.50, 0.25, 0.75, 0.50]", id="padded at the sides"),
        pytest.param("cropped", (200, 100), "[0.00, 0.50, 0.50, 1.00]", id="of the middle"),
    ],
)
def test_edges_are_shares_of_what_the_model_sees(within: str, size: Size, text: str) -> None:
    spec = BoxSpec(format="normalised", within=within)  # type: ignore[arg-type]

    assert box_text((50, 50, 100, 100), size, spec) == text


def test_a_box_that_reaches_into_the_padding_ends_at_the_image() -> None:
    assert box_pixels((0, 0, 100, 100), (200, 100), SHARES) == (0, 0, 200, 100)


def test_a_share_needs_a_power_of_ten() -> None:
    with pytest.raises(InputError, match="by the digits"):
        BoxSpec(format="normalised", bins=128)


def test_a_turned_box_knows_its_corners_clockwise() -> None:
    box = Box((10, 10, 30, 20), angle=90)

    assert [tuple(round(edge, 6) for edge in corner) for corner in box.corners] == [
        (25, 5), (25, 25), (15, 25), (15, 5),
    ]  # fmt: skip
    assert tuple(round(edge, 6) for edge in box.hull) == (15, 5, 25, 25)
    assert Box((1, 2, 3, 4)).hull == (1, 2, 3, 4)
