from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import TaskResult, TextResult
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation import (
    CaptionItem,
    Picture,
    evaluate_captions,
    plain_words,
    rouge_l,
    score_captions,
    with_references,
)
from skyeye_edge.training.data.readers import read_annotations

# Measured with pycocoevalcap by somebody else, reference/tiny_model.md
CONSTANT = "many buildings and green trees are in a dense residential area ."


def said(*texts: str) -> list[TextResult]:
    return [TextResult("caption", "text", text) for text in texts]


def item(*references: str) -> CaptionItem:
    return CaptionItem(Path("x.jpg"), references)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain_words("  A plane, near the Gate's  end . ") == "a plane near the gate s end"


def test_the_right_captions_score_ten_times_as_high_as_cider_counts_them() -> None:
    items = [item("a plane on the runway now"), item("two boats lie at a pier")]

    report = score_captions(said("A plane on the runway now.", "two boats lie at a pier"), items)

    assert report.cider == pytest.approx(1000, abs=0.1)
    assert report.bleu4 == pytest.approx(100, abs=0.1)
    assert (report.number, report.different, report.cut) == (2, 2, 0)


def test_other_words_score_nothing() -> None:
    items = [item("a plane on the runway"), item("two boats lie at a pier")]

    report = score_captions(said("green field", "green field"), items)

    assert (report.cider, report.different) == (0.0, 1)


def test_a_cut_caption_is_counted() -> None:
    items = [item("a plane"), item("a boat")]
    results = [*said("a plane"), TextResult("caption", "cut", "a boat a boat", stopped="length")]

    assert score_captions(results, items).cut == 1


def test_words_in_the_same_order_are_scored_as_pycocoevalcap_does() -> None:
    from pycocoevalcap.rouge.rouge import Rouge

    text = "two white boats lie at a pier"
    references = ["a boat and two boats lie at the long pier", "boats are in a port"]

    assert rouge_l(text, references) == pytest.approx(Rouge().calc_score([text], references))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        pytest.param("A boat lies at a pier .", 1.0, id="the same words"),
        pytest.param("green field", 0.0, id="other words"),
        pytest.param("", 0.0, id="nothing said"),
    ],
)
def test_one_caption_is_scored_between_nothing_and_all(text: str, score: float) -> None:
    assert rouge_l(text, ["a boat lies at a pier", "the sea"]) == score


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to score"):
        score_captions([], [])


def test_items_are_chosen_by_how_many_of_their_references_differ() -> None:
    items = [item("a b", "A b.", "c"), item("a", "b", "c", "d")]

    assert with_references(items, 3) == [1]


class Constant:
    """Says the same about every image."""

    def run(self, image: Picture, tasks: Sequence[Task], /) -> list[TaskResult]:
        return [TextResult("caption", "text", CONSTANT) for _ in tasks]


def test_the_best_constant_sentence_scores_on_rsicd_what_others_measured(shared: Path) -> None:
    found = read_annotations(shared / "data" / "rsicd" / "captions.json", "captions", "val")
    items = [CaptionItem(each.path, each.captions) for each in found]

    report = evaluate_captions(Constant(), items)

    assert (round(report.cider, 1), round(report.bleu4, 1)) == (47.8, 15.3)
    assert len(with_references(items, 4)) == 179
