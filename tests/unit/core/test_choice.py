"""What is chosen, and what is known about it afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.automaton import State, Vocabulary, task_automaton
from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.choice import Logits, choose
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.spec import ModelSpec, VisionSpec
from skyeye_edge.core.tasks import Classify, Detect, Ground, Task

PIECES = [None, None, None, b"{", b" {", b" ", b"no", b" no", b"}", b"not",
          *[b"<%d>" % step for step in range(11)], b"<", b">", *[b"%d" % n for n in range(10)],
          b"<p>a</p>", b"<delim>"]  # fmt: skip
BOX, SPACED_BOX, SPACE, NO, SPACED_NO = 3, 4, 5, 6, 7


def encode(text: str) -> list[int]:
    """A text of one piece."""
    return [PIECES.index(text.encode())] if text.encode() in PIECES else [SPACE]


VOCABULARY = Vocabulary(tuple(PIECES), 2, encode)


def start(found_from: float | None = None, task: Task | None = None) -> State:
    boxes, scores = BoxSpec(bins=10, absent="no"), ScoreSpec(found_from=found_from)
    spec = ModelSpec(VisionSpec(112, 16, 256), boxes=boxes, scores=scores)
    automaton = task_automaton(task or Ground("a boat"), VOCABULARY, spec)
    assert automaton is not None
    return automaton.start()


def logits(**probabilities: float) -> Logits:
    """Logarithms of probabilities of single tokens, by their names below; others are -30."""
    names = {"box": BOX, "spaced_box": SPACED_BOX, "space": SPACE, "no": NO, "spaced_no": SPACED_NO}
    found = np.full(len(PIECES), -30, np.float32)
    for name, probability in probabilities.items():
        found[names[name]] = np.log(probability)
    return found


def test_the_presence_is_the_share_of_boxes_among_the_tokens_that_decide() -> None:
    found = choose(logits(box=0.1, spaced_box=0.2, no=0.3, space=0.4), VOCABULARY, start())

    assert found.presence == pytest.approx(0.5, abs=1e-6)
    assert found.token == SPACE  # which leaves it open


def test_without_an_operating_point_the_best_token_decides() -> None:
    found = choose(logits(box=0.3, spaced_box=0.3, no=0.4), VOCABULARY, start())

    assert found.token == NO
    assert found.presence == pytest.approx(0.6, abs=1e-6)
    assert found.probability == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize(
    ("found_from", "token"), [(0.0, SPACED_BOX), (0.59, SPACED_BOX), (0.61, NO), (0.999, NO)]
)
def test_at_an_operating_point_the_presence_decides(found_from: float, token: int) -> None:
    scores = logits(box=0.25, spaced_box=0.35, no=0.4)

    assert choose(scores, VOCABULARY, start(found_from)).token == token


@given(
    values=st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    found_from=st.floats(0.001, 0.999),
)
def test_an_operating_point_is_exact_and_its_logits_say_how_close_it_was(
    values: list[float], found_from: float
) -> None:
    scores = np.full(len(PIECES), -30, np.float32)
    scores[[BOX, SPACED_BOX, NO, SPACED_NO]] = values
    state = start(found_from)

    choice = choose(scores, VOCABULARY, state)

    assert choice.presence is not None
    spread = choice.spread(len(PIECES))
    assert spread is not None
    gap = max(spread[BOX], spread[SPACED_BOX]) - max(spread[NO], spread[SPACED_NO])
    odds = np.log(choice.presence / (1 - choice.presence)) - np.log(found_from / (1 - found_from))
    assert gap == pytest.approx(odds, abs=1e-3)
    assert abs(gap) < 1e-3 or (choice.token in (BOX, SPACED_BOX)) == (gap > 0)


def test_a_detection_decides_between_absent_and_the_name() -> None:
    scores = np.full(len(PIECES), -30, np.float32)
    scores[[PIECES.index(b"<p>a</p>"), NO]] = np.log([0.25, 0.75])

    assert choose(scores, VOCABULARY, start(task=Detect("a"))).presence == pytest.approx(0.25)
    low = choose(scores, VOCABULARY, start(0.2, Detect("a")))
    assert PIECES[low.token] == b"<p>a</p>"


def test_a_label_and_free_text_decide_nothing_about_boxes() -> None:
    scores = logits(no=0.5, box=0.5)

    assert choose(scores, VOCABULARY, start(task=Classify(("no", "not")))).presence is None
    assert choose(scores, VOCABULARY).presence is None


YES_PIECES = (None, None, None, b" yes", b"Yes", b"ye", b"s", b" no", b"No", b" ", b"maybe", b"yes",
              b"no", b"n", b"o", b"y", b"es", b"N", b"Y", b"e")  # fmt: skip


def yes_or_no(
    names: tuple[str, ...], question: str, **weights: float
) -> tuple[float | None, bytes]:
    """Presence and first token, where the pieces have these weights and all others next to none."""
    words = Vocabulary(YES_PIECES, 2, lambda text: [9])
    automaton = task_automaton(
        Classify(names, question), words, ModelSpec(VisionSpec(112, 16, 256))
    )
    assert automaton is not None
    scores = np.full(len(YES_PIECES), -60, np.float32)
    for name, weight in weights.items():
        scores[YES_PIECES.index(name.replace("_", " ").encode())] = np.log(weight)
    choice = choose(scores, words, automaton.start())
    return choice.presence, YES_PIECES[choice.token] or b""


def test_the_probability_of_yes_is_that_of_all_its_spellings_against_those_of_no() -> None:
    presence, token = yes_or_no(
        ("yes", "no"), "is there smoke?", _yes=0.1, Yes=0.1, ye=0.1, _no=0.19, No=0.01, maybe=0.5
    )

    assert presence == pytest.approx(0.6, abs=1e-6)
    assert token.strip() in (b"yes", b"Yes", b"ye")  # though " no" is the best single token


def test_between_more_than_two_answers_there_is_no_presence() -> None:
    assert yes_or_no(("yes", "no", "none"), "is there smoke?", _yes=1.0)[0] is None


def test_a_coordinate_is_right_to_one_bin() -> None:
    scores = np.full(len(PIECES), -30, np.float32)
    edges = {b"<2>": 0.1, b"<3>": 0.2, b"<4>": 0.4, b"<5>": 0.25, b"<6>": 0.05}
    for piece, probability in edges.items():
        scores[PIECES.index(piece)] = np.log(probability)
    state = start().advance(BOX)

    choice = choose(scores, VOCABULARY, state)

    assert PIECES[choice.token] == b"<4>"
    assert choice.probability == pytest.approx(0.4, abs=1e-6)
    assert choice.nearby == pytest.approx(0.85, abs=1e-6)


def test_a_neighbour_that_is_not_allowed_does_not_count() -> None:
    scores = np.full(len(PIECES), -30, np.float32)
    for piece, probability in {b"<3>": 0.5, b"<4>": 0.4, b"<5>": 0.1}.items():
        scores[PIECES.index(piece)] = np.log(probability)
    state = start()
    for piece in (b"{", b"<4>", b"<0>"):
        state = state.advance(PIECES.index(piece))

    choice = choose(scores, VOCABULARY, state)  # x2 is not left of x1, which is 4

    assert choice.probability == pytest.approx(0.8, abs=1e-6)
    assert choice.nearby == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("piece", "neighbours"),
    [
        (b"<0>", {b"<0>", b"<1>"}),
        (b"<9>", {b"<8>", b"<9>", b"<10>"}),
        (b"<10>", {b"<9>", b"<10>"}),
        (b"4", {b"3", b"4", b"5"}),
        (b"no", {b"no"}),
        (b"<p>a</p>", {b"<p>a</p>"}),
    ],
)
def test_neighbours_write_the_next_number(piece: bytes, neighbours: set[bytes]) -> None:
    found = VOCABULARY.neighbours(PIECES.index(piece))

    assert {PIECES[token] for token in found} == neighbours
