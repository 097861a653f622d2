"""Replies become typed answers; nothing there, cut off and unreadable stay apart."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import Box, BoxSpec
from skyeye_edge.core.parsing import format_answer, parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify, Task

ABSENT = "not in the image"
BOXES = BoxSpec(absent=ABSENT)
SIZE = (200, 100)
Stopped = Literal["end", "length"]


def said(text: str, stopped: Stopped = "end") -> Reply:
    """A reply of one token per byte, all chosen freely and certainly."""
    return spelt([(bytes([byte]), 1.0, True) for byte in text.encode()], stopped)


def spelt(tokens: list[tuple[bytes, float, bool]], stopped: Stopped = "end") -> Reply:
    pieces, probabilities, free = zip(*tokens, strict=True) if tokens else ((), (), ())
    return Reply(tuple(range(len(tokens))), pieces, probabilities, free, stopped)


@pytest.mark.parametrize(
    ("text", "stopped", "outcome", "boxes"),
    [
        pytest.param("{<10><20><30><40>}", "end", "found", [(20, 20, 60, 40)], id="a box"),
        pytest.param(" {<10><20><30><40>}", "end", "found", [(20, 20, 60, 40)], id="with a space"),
        pytest.param("{<5><5><5><5>}", "end", "found", [(10, 5, 10, 5)], id="a box of no area"),
        pytest.param("{<1><2><3><4>}", "length", "found", [(2, 2, 6, 4)], id="whole at the limit"),
        pytest.param("{<1><2><3><4>}{<9", "end", "found", [(2, 2, 6, 4)], id="the first counts"),
        pytest.param(ABSENT, "end", "absent", [], id="absent"),
        pytest.param(f" {ABSENT}", "end", "absent", [], id="absent with a space"),
        pytest.param("not in the", "length", "cut", [], id="cut inside absent"),
        pytest.param("{<10><20><3", "length", "cut", [], id="cut inside a box"),
        pytest.param("", "length", "cut", [], id="cut at once"),
        pytest.param("", "end", "unreadable", [], id="nothing said"),
        pytest.param("a road, no numbers", "end", "unreadable", [], id="prose"),
        pytest.param("{<10><20><30>", "end", "unreadable", [], id="ended inside a box"),
        pytest.param("{<30><20><10><40>}", "end", "unreadable", [], id="left and right swapped"),
        pytest.param("{<10><40><30><20>}", "end", "unreadable", [], id="top and bottom swapped"),
        pytest.param("{<10><20><30><101>}", "end", "unreadable", [], id="beyond the image"),
    ],
)
def test_a_grounding_says_how_it_went(
    text: str, stopped: Stopped, outcome: str, boxes: list[tuple[int, ...]]
) -> None:
    result = parse_reply(Ground("a boat"), said(text, stopped), SIZE, BOXES)

    assert isinstance(result, GroundResult)
    assert (result.outcome, [box.xyxy for box in result.boxes]) == (outcome, boxes)
    assert result.found == bool(boxes)
    assert (result.phrase, result.text, result.stopped) == ("a boat", text.strip(), stopped)
    assert result.tokens == tuple(range(len(text)))


@pytest.mark.parametrize("text", ["{<5><5><5><5>}", "{<5><5><5><9>}", "{<5><5><9><5>}"])
@pytest.mark.parametrize("task", [Ground("a boat"), Detect("boat"), Describe(boxes=True)], ids=str)
def test_a_box_without_area_is_no_answer_where_the_model_says_so(task: Task, text: str) -> None:
    reply = said(f"<p>boat</p> {text}")

    strict = parse_reply(task, reply, SIZE, BoxSpec(min_size=1))
    published = parse_reply(task, reply, SIZE, BoxSpec())

    assert strict.outcome == "unreadable"
    assert published.outcome in ("found", "text")


def test_a_model_without_a_word_for_absent_never_says_absent() -> None:
    result = parse_reply(Ground("a boat"), said(ABSENT), SIZE, BoxSpec())

    assert result.outcome == "unreadable"


@pytest.mark.parametrize(
    ("text", "stopped", "outcome", "boxes"),
    [
        pytest.param("<p>car</p> {<1><2><3><4>}", "end", "found", 1, id="one"),
        pytest.param(" <p>car</p> {<1><2><3><4>}", "end", "found", 1, id="with a space"),
        pytest.param("<p>car</p>{<1><2><3><4>}", "end", "found", 1, id="without any space"),
        pytest.param("{<1><2><3><4>}", "end", "found", 1, id="the name left out"),
        pytest.param("<p>car</p> {<1><2><3><4>}<delim>{<5><6><7><8>}", "end", "found", 2, id="two"),
        pytest.param("<p>car</p> {<1><2><3><4>}<delim>", "length", "cut", 1, id="cut behind one"),
        pytest.param("<p>car</p> {<1><2><3><4>}", "length", "cut", 1, id="another could follow"),
        pytest.param("<p>car</p>", "length", "cut", 0, id="cut before the first"),
        pytest.param(ABSENT, "end", "absent", 0, id="absent"),
        pytest.param("<p>car</p> none", "end", "unreadable", 0, id="prose"),
        pytest.param("<p>car</p> {<1><2><3><4>}<delim>{<5", "end", "unreadable", 0, id="broken"),
        pytest.param(
            "<p>car</p> {<1><2><3><4>}<delim>{<9><6><7><8>}", "end", "unreadable", 0, id="swapped"
        ),
    ],
)
def test_a_detection_says_how_it_went(
    text: str, stopped: Stopped, outcome: str, boxes: int
) -> None:
    result = parse_reply(Detect("car"), said(text, stopped), SIZE, BOXES)

    assert isinstance(result, DetectResult)
    assert (result.name, result.outcome, len(result.boxes)) == ("car", outcome, boxes)


def test_the_known_name_is_skipped_whatever_it_looks_like() -> None:
    task = Detect("<1> 2> é")

    result = parse_reply(task, spelt([
        ("<p><1> 2> é</p>".encode(), 0.1, True), (b" {<1><2><3>", 1.0, False), (b"<4>}", 0.5, True),
    ]), SIZE, BOXES)  # fmt: skip

    assert [box.score for box in result.boxes] == [0.5 ** (1 / 4)]


def test_a_box_score_is_the_geometric_mean_of_its_edges() -> None:
    tokens = [
        (b" {", 0.3, True), (b"<", 1.0, False), (b"1", 0.9, True), (b"0", 0.8, True),
        (b"><", 0.7, True), (b"2", 1.0, False), (b">", 0.6, True), (b"<", 0.01, True),
        (b"30", 0.5, True), (b">", 1.0, False), (b"<40>", 0.4, True), (b"}", 0.02, True),
    ]  # fmt: skip

    result = parse_reply(Ground("a boat"), spelt(tokens), SIZE, BOXES)

    expected = math.prod([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) ** (1 / 4)
    assert result.score == pytest.approx(expected)
    assert result.boxes[0].score == pytest.approx(expected)


def test_the_bins_beside_the_chosen_ones_count_as_right() -> None:
    pieces = (b"{", b"<1>", b"<2>", b"<3", b"0", b">", b"<40>", b"}")
    chosen = (1.0, 0.3, 0.4, 0.9, 0.2, 0.8, 1.0, 1.0)
    nearby = (1.0, 0.5, 0.6, 0.95, 0.7, 0.8, 1.0, 1.0)
    free = (False, True, True, True, True, True, False, False)
    reply = Reply(tuple(range(8)), pieces, chosen, free, "end", nearby=nearby)

    result = parse_reply(Ground("a boat"), reply, SIZE, BOXES)

    # of a number in several tokens, neighbours are told by its last digit
    assert result.score == pytest.approx((0.5 * 0.6 * (0.9 * 0.7 * 0.8)) ** (1 / 4))


def test_a_box_that_may_well_be_absent_has_a_low_score() -> None:
    reply = replace(spelt([(b"{<1><2><3><4>}", 0.81**2, True)]), presence=0.5)

    result = parse_reply(Ground("a boat"), reply, SIZE, BOXES)

    assert result.score == pytest.approx(0.5 * 0.9)


def test_the_score_of_absent_is_that_nothing_is_there() -> None:
    reply = replace(said(ABSENT), presence=0.25)

    result = parse_reply(Ground("a boat"), reply, SIZE, BOXES)

    assert (result.outcome, result.score) == ("absent", 0.75)


def test_scores_go_through_the_models_table() -> None:
    table = ScoreSpec(calibration=((0.1, 0.2), (0.5, 0.6), (0.6, 0.6)))

    def score(raw: float) -> float:
        reply = spelt([(b"{<1><2><3><4>}", raw**4, True)])
        return parse_reply(Ground("a boat"), reply, SIZE, BOXES, table).score

    found = [score(raw) for raw in (0.01, 0.1, 0.3, 0.55, 0.9)]

    assert found == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.6])


def test_a_box_without_a_free_coordinate_is_certain() -> None:
    result = parse_reply(Ground("a boat"), spelt([(b"{<1><2><3><4>}", 0.2, False)]), SIZE, BOXES)

    assert result.score == 1.0


def test_each_detected_box_has_its_own_score_and_the_best_one_is_the_results() -> None:
    tokens = [
        (b"<p>car</p> {", 0.1, True), (b"<1><2><3><4>", 0.25**4, True), (b"}<delim>{", 0.1, True),
        (b"<5><6><7><8>", 0.8**4, True), (b"}", 0.1, True),
    ]  # fmt: skip

    result = parse_reply(Detect("car"), spelt(tokens), SIZE, BOXES)

    assert [box.score for box in result.boxes] == pytest.approx([0.25, 0.8])
    assert result.score == pytest.approx(0.8)


def scored(*scores: float) -> Reply:
    """A detection of cars with boxes of these scores."""
    boxes = [
        [(b"{", 1.0, False), (b"<1><2><3><4>", score**4, True), (b"}", 1.0, False)]
        for score in scores
    ]
    between = [(b"<delim>", 1.0, False)]
    joined = [token for box in boxes for token in (*between, *box)][1:]
    return spelt([(b"<p>car</p> ", 1.0, False), *joined])


def test_a_box_below_the_least_score_is_uncertain_and_not_absent() -> None:
    reply = spelt([(b"{<1><2><3><4>}", 0.25**4, True)])

    result = parse_reply(Ground("a boat"), reply, SIZE, BOXES, ScoreSpec(min_score=0.3))

    assert isinstance(result, GroundResult)
    assert (result.outcome, result.found, result.boxes) == ("uncertain", False, ())
    assert (result.score, result.text) == (0.25, "{<1><2><3><4>}")


def test_a_box_of_just_the_least_score_is_found() -> None:
    reply = spelt([(b"{<1><2><3><4>}", 0.25**4, True)])

    result = parse_reply(Ground("a boat"), reply, SIZE, BOXES, ScoreSpec(min_score=0.25))

    assert (result.outcome, len(result.boxes)) == ("found", 1)


@pytest.mark.parametrize("task", [Ground("a boat", 0.2), Detect("car", 0.2)], ids=str)
def test_a_task_may_state_another_least_score_than_the_model(task: Task) -> None:
    reply = (
        scored(0.25) if isinstance(task, Detect) else spelt([(b"{<1><2><3><4>}", 0.25**4, True)])
    )

    result = parse_reply(task, reply, SIZE, BOXES, ScoreSpec(min_score=0.9))

    assert result.outcome == "found"


@pytest.mark.parametrize(
    ("least", "outcome", "kept"),
    [(0.0, "found", [0.8, 0.25]), (0.5, "found", [0.8]), (0.9, "uncertain", [])],
)
def test_a_detection_keeps_the_boxes_that_are_certain_enough(
    least: float, outcome: str, kept: list[float]
) -> None:
    result = parse_reply(Detect("car", least), scored(0.8, 0.25), SIZE, BOXES)

    assert isinstance(result, DetectResult)
    assert result.outcome == outcome
    assert [box.score for box in result.boxes] == pytest.approx(kept)


def test_nothing_there_stays_absent_whatever_the_least_score_is() -> None:
    result = parse_reply(Ground("a boat", 1.0), said(ABSENT), SIZE, BOXES)

    assert result.outcome == "absent"


def test_truncated_labels_decode_to_the_middle_of_their_bin() -> None:
    spec = BoxSpec(bins=1000, labels="truncated")

    result = parse_reply(Ground("a boat"), said("{<0><10><500><1000>}"), (1000, 1000), spec)

    assert result.boxes[0].xyxy == pytest.approx((0.5, 10.5, 500.5, 1000))


@pytest.mark.parametrize(
    ("text", "stopped", "outcome"),
    [
        pytest.param(" a road. ", "end", "text", id="words"),
        pytest.param(" a road", "length", "cut", id="the limit came first"),
        pytest.param("  ", "end", "unreadable", id="no words"),
    ],
)
@pytest.mark.parametrize(
    "task",
    [Caption(), Describe(), Describe(boxes=True), Identify((1, 2, 3, 4)), Ask("why?")],
    ids=lambda task: type(task).__name__,
)
def test_words_are_trimmed_and_their_end_is_told(
    task: Task, text: str, stopped: Stopped, outcome: str
) -> None:
    result = parse_reply(task, said(text, stopped), SIZE, BOXES)

    assert isinstance(result, TextResult)
    assert (result.outcome, result.text) == (outcome, text.strip())
    assert result.task == type(task).__name__.lower()


def test_a_text_score_is_the_mean_probability() -> None:
    reply = spelt([(b"a", 0.5, True), (b" road", 0.75, True)])

    assert parse_reply(Caption(), reply, SIZE, BOXES).score == 0.625


def test_forced_tokens_do_not_make_a_label_look_certain() -> None:
    reply = spelt([(b"f", 0.5, True), (b"ield", 1.0, False)])

    assert parse_reply(Classify(("field",)), reply, SIZE, BOXES).score == 0.5


def test_text_results_remember_what_was_asked() -> None:
    asked = parse_reply(Ask("why?"), said("so"), SIZE, BOXES)
    identified = parse_reply(Identify((1, 2, 3, 4)), said("a car"), SIZE, BOXES)

    assert isinstance(asked, TextResult)
    assert isinstance(identified, TextResult)
    assert asked.question == "why?"
    assert identified.box == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "stopped", "label", "outcome"),
    [
        pytest.param(" river bank", "end", "river bank", "text", id="a name"),
        pytest.param("River bank.", "end", "river bank", "text", id="with capital and full stop"),
        pytest.param("river", "end", "river", "text", id="the shorter name"),
        pytest.param("riv", "length", "", "cut", id="cut"),
        pytest.param("river", "length", "", "cut", id="cut where a longer name could follow"),
        pytest.param("a river", "end", "", "unreadable", id="not one of the names"),
    ],
)
def test_a_label_is_one_of_the_names(text: str, stopped: Stopped, label: str, outcome: str) -> None:
    result = parse_reply(Classify(("river", "river bank")), said(text, stopped), SIZE, BOXES)

    assert isinstance(result, ClassifyResult)
    assert (result.label, result.outcome) == (label, outcome)


def test_names_that_differ_in_capitals_only_stay_apart() -> None:
    result = parse_reply(Classify(("polish", "Polish")), said("Polish"), SIZE, BOXES)

    assert isinstance(result, ClassifyResult)
    assert result.label == "Polish"


@pytest.mark.parametrize(
    ("text", "label", "score"), [("yes", "yes", 0.8), (" No", "no", 0.2), ("", "", 1.0)]
)
def test_of_two_answers_the_score_is_how_probable_the_given_one_is(
    text: str, label: str, score: float
) -> None:
    task = Classify(("yes", "no"), "is there smoke?")

    result = parse_reply(task, replace(said(text), presence=0.8), SIZE, BOXES)

    assert isinstance(result, ClassifyResult)
    assert (result.label, result.question) == (label, "is there smoke?")
    assert result.score == pytest.approx(score)


def test_phrases_of_a_description_carry_their_boxes() -> None:
    text = (
        "<p>Two planes é</p> {<1><2><30><40>}<delim>{<50><20><70><44>} near "
        "<p>a terminal</p>{<10><60><90><99>}."
    )

    result = parse_reply(Describe(boxes=True), said(text), (100, 100), BOXES)

    planes = "Two planes é"
    assert isinstance(result, TextResult)
    assert result.outcome == "text"
    assert result.phrases == (
        (planes, (Box((1, 2, 30, 40), 1.0, planes), Box((50, 20, 70, 44), 1.0, planes))),
        ("a terminal", (Box((10, 60, 90, 99), label="a terminal"),)),
    )


@pytest.mark.parametrize(
    ("text", "stopped", "outcome"),
    [
        pytest.param("<p>a</p> {<9><2><3><4>}", "end", "unreadable", id="swapped"),
        pytest.param("<p>a</p> {<1><2><3>", "end", "unreadable", id="broken"),
        pytest.param("<p>a</p> {<1><2><3>", "length", "cut", id="cut off"),
    ],
)
def test_a_description_with_a_bad_box_has_no_phrases(
    text: str, stopped: Stopped, outcome: str
) -> None:
    result = parse_reply(Describe(boxes=True), said(text, stopped), SIZE, BOXES)

    assert isinstance(result, TextResult)
    assert (result.outcome, result.phrases) == (outcome, ())


FREE_TEXT: list[Task] = [
    Caption(), Describe(), Identify((1, 2, 3, 4)), Ask("why?"), Describe(boxes=True),
]  # fmt: skip


@pytest.mark.parametrize("task", FREE_TEXT, ids=str)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "there is <p>a car</p> {<1><2><30><40>} on the road .",
            "there is a car on the road.", id="one phrase",
        ),
        pytest.param(
            "<p>cars</p> {<1><2><3><4>}<delim>{<5><6><7><8>}, and é<p>a boat</p>{<1><2><3><4>}.",
            "cars, and é a boat.", id="two, without spaces",
        ),
        pytest.param("a car {<1><2><30><40>} here", "a car here", id="a box without a phrase"),
    ],
)  # fmt: skip
def test_text_answers_carry_no_markup(task: Task, text: str, words: str) -> None:
    result = parse_reply(task, said(text), SIZE, BOXES)

    assert (result.outcome, result.text) == ("text", words)


@pytest.mark.parametrize("task", FREE_TEXT, ids=str)
def test_phrases_in_a_text_carry_their_boxes_whatever_was_asked(task: Task) -> None:
    result = parse_reply(task, said("see <p>a car</p> {<10><20><30><40>}"), (100, 100), BOXES)

    assert isinstance(result, TextResult)
    assert result.phrases == (("a car", (Box((10, 20, 30, 40), label="a car"),)),)


@pytest.mark.parametrize("task", FREE_TEXT[:-1], ids=str)
@pytest.mark.parametrize("text", ["<p>car</p> {<86><0><100><21>}", "<p>car</p> {<1><2><3><4>}."])
def test_a_phrase_with_its_box_is_no_answer_to_a_question_for_words(task: Task, text: str) -> None:
    result = parse_reply(task, said(text), SIZE, BOXES)

    assert isinstance(result, TextResult)
    assert (result.outcome, result.text) == ("unreadable", "")
    assert [phrase for phrase, _ in result.phrases] == ["car"]


@pytest.mark.parametrize("task", FREE_TEXT, ids=str)
def test_a_box_alone_leaves_no_words(task: Task) -> None:
    result = parse_reply(task, said("{<86><0><100><21>}"), SIZE, BOXES)

    assert (result.outcome, result.text) == ("unreadable", "")


@pytest.mark.parametrize(
    "end",
    ["{", "{<", "{<8", "{<86><", "{<86><0><100><21>", "<", "</", "</p", "<p", "<de", "<delim"],
)
def test_a_mark_that_was_cut_off_is_no_word_either(end: str) -> None:
    result = parse_reply(Ask("why?"), said(f"a <p>car</p> {end}", "length"), SIZE, BOXES)

    assert (result.outcome, result.text) == ("cut", "a car")


@pytest.mark.parametrize(
    "text", ["2 < 3", "3 > 2", "from 10 to <20 m", "two  spaces stay", "a {blue} roof"]
)
def test_other_brackets_are_words(text: str) -> None:
    result = parse_reply(Ask("why?"), said(text), SIZE, BOXES)

    assert (result.outcome, result.text) == ("text", text)


def test_a_phrase_keeps_only_the_boxes_that_are_certain_enough() -> None:
    tokens = [
        (b"<p>a car</p> {", 1.0, False),
        (b"<1><2><3><4>", 0.25**4, True),
        (b"} here", 1, False),
    ]

    result = parse_reply(Ask("where?"), spelt(tokens), SIZE, BOXES, ScoreSpec(min_score=0.5))

    assert isinstance(result, TextResult)
    assert (result.text, result.phrases) == ("a car here", (("a car", ()),))


edges = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda e: (min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3]))
)
boxes = edges.map(Box)
words = st.text(min_size=1).filter(lambda text: text.strip() == text)
objects = words.filter(lambda text: not {"{", "}", "<"} & set(text))


@given(
    target=st.one_of(
        st.builds(lambda p, b: (Ground(p), GroundResult(p, "found", (b,))), words, boxes),
        st.builds(
            lambda n, b: (Detect(n), DetectResult(n, "found", tuple(b))),
            objects,
            st.lists(boxes, min_size=1, max_size=4),
        ),
        st.builds(lambda p: (Ground(p), GroundResult(p, "absent", ())), words),
        st.builds(lambda n: (Detect(n), DetectResult(n, "absent", ())), objects),
        st.builds(
            lambda n: (Classify((n, "b")), ClassifyResult(n, "text")), words.filter("b".__ne__)
        ),
        st.builds(lambda t: (Caption(), TextResult("caption", "text", t)), objects),
    ),
    bins=st.sampled_from([100, 1000]),
    labels=st.sampled_from(["rounded", "truncated"]),
)
def test_what_training_writes_the_runtime_reads(target: Any, bins: int, labels: Any) -> None:
    task, result = target
    spec = BoxSpec(bins=bins, labels=labels, absent=ABSENT)

    text = format_answer(result, (1, 1), spec)
    back = parse_reply(task, said(text), (1, 1), spec)

    assert back.outcome == result.outcome
    assert format_answer(back, (1, 1), spec) == text


scraps = st.lists(
    st.sampled_from(
        ["{", "}", "<", ">", "|", "[", "]", ",", "12", "-1", "1e9", "nan", " ", "<p>", "</p>", "é"]
    )
    | st.text(max_size=3),
    max_size=30,
).map("".join)


@given(
    text=scraps,
    stopped=st.sampled_from(["end", "length"]),
    task=st.sampled_from(
        [Ground("a boat"), Detect("boat"), Describe(boxes=True), Classify(("a",))]
    ),
    form=st.sampled_from(["minigptv2", "geochat", "normalised"]),
)
def test_whatever_a_model_says_is_read_and_boxes_lie_in_the_picture(
    text: str, stopped: Stopped, task: Task, form: Any
) -> None:
    result = parse_reply(task, said(text, stopped), SIZE, BoxSpec(format=form))

    found = result.boxes if isinstance(result, GroundResult | DetectResult) else ()
    for box in found:
        left, top, right, bottom = box.xyxy
        assert 0 <= left <= right <= SIZE[0]
        assert 0 <= top <= bottom <= SIZE[1]
        assert 0 <= box.score <= 1
