"""How two answers are compared, and what counts as a tie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.tasks import Task
from skyeye_edge.export.parity import (
    ParityRow,
    ReplyParity,
    Tie,
    compare_replies,
    parity_tasks,
    read_frames,
)

Row = list[float] | None
NO = float("-inf")


def reply(
    *ids: int, stopped: Literal["end", "length"] = "end", logits: list[Row] | None = None
) -> Reply:
    rows = logits or [[0.0, 0.0]] * (len(ids) + (stopped == "end"))
    return Reply(
        ids=ids,
        pieces=tuple(b"x" for _ in ids),
        probabilities=tuple(1.0 for _ in ids),
        free=tuple(True for _ in ids),
        stopped=stopped,
        logits=tuple(None if row is None else np.array(row, np.float32) for row in rows),
    )


def test_equal_answers_count_their_end_token_too() -> None:
    parity = compare_replies(reply(5, 6), reply(5, 6))

    assert (parity.tokens, parity.equal_tokens, parity.is_equal) == (3, 3, True)


def test_an_answer_that_ends_earlier_differs_in_the_end_token() -> None:
    parity = compare_replies(reply(5, 6), reply(5))

    assert (parity.tokens, parity.equal_tokens, parity.is_equal) == (3, 1, False)


def test_a_cut_answer_differs_from_a_finished_one() -> None:
    assert not compare_replies(reply(5, stopped="length"), reply(5)).is_equal


def test_difference_counts_free_positions_before_the_first_differing_token_only() -> None:
    ours = reply(5, 6, 7, logits=[[1.0, 2.0], None, [3.0, 0.0], [0.0, 0.0]])
    theirs = reply(5, 6, 8, logits=[[1.0, 2.5], None, [9.0, 0.0], [0.0, 0.0]])

    assert compare_replies(ours, theirs).difference == pytest.approx(0.5)


def test_difference_leaves_out_what_the_automaton_forbids() -> None:
    parity = compare_replies(
        reply(5, logits=[[1.0, NO, 2.0], None]), reply(5, logits=[[1.25, NO, NO], None])
    )

    assert parity.difference == pytest.approx(0.25)


def test_gap_is_taken_between_allowed_tokens_at_the_differing_position() -> None:
    ours = reply(5, 6, logits=[[0.0, 9.0], [1.0, NO, 1.5], None])

    assert compare_replies(ours, reply(5, 7)).gap == pytest.approx(0.5)


def test_a_forced_token_that_differs_is_no_tie() -> None:
    parity = compare_replies(reply(5, logits=[None, None]), reply(6))

    assert (parity.gap, parity.is_tie) == (float("inf"), False)


@pytest.mark.parametrize(
    ("gap", "difference", "is_tie"),
    [
        pytest.param(0.00009, 0.0, True, id="below the floor"),
        pytest.param(0.0002, 0.0, False, id="clear choice, no noise"),
        pytest.param(0.0002, 0.00015, True, id="below twice the noise"),
        pytest.param(0.002, 0.5, False, id="noise never excuses more than 1e-3"),
    ],
)
def test_ties_are_differences_that_rounding_explains(
    gap: float, difference: float, is_tie: bool
) -> None:
    parity = ReplyParity(tokens=9, equal_tokens=4, gap=gap, difference=difference)

    assert parity.is_tie is is_tie


def test_rows_keep_one_significant_digit_and_count_what_is_left() -> None:
    tie = Tie(image=0, task=1, position=4, gap=0.0001234, difference=0.0000567)
    row = ParityRow("fp32", "F32", True, 8, 6, (tie,), 90, 80, 0.00000123, 0.0000567)

    values = row.to_json()

    assert (values["visual_tokens"], values["ties"][0]["gap"]) == (1e-06, 0.0001)
    assert values["different"] == 1


def test_every_kind_of_task_is_compared() -> None:
    kinds = {type(task) for task in parity_tasks((640, 480))}

    assert kinds == set(get_args(Task))


def test_frames_are_evenly_spaced_over_the_whole_clip(demo_clip: Path) -> None:
    frames = read_frames(demo_clip, 4)

    times = np.array([frame.time for frame in frames])
    assert len(frames) == 4
    assert np.ptp(np.diff(times)) < 0.1


def test_a_missing_clip_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_frames(tmp_path / "missing.mp4", 4)
