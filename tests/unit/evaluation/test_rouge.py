from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.results import TaskResult, TextResult
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation import Drawing, Pictures, ask_all, plain_words, rouge_l, score_answers
from skyeye_edge.evaluation.rouge import rouge_of_words
from skyeye_edge.training.data.benchmark import Benchmark
from skyeye_edge.training.data.exam import read_samples

# Measured with pycocoevalcap by somebody else, reference/tiny_model.md
CONSTANT = "many buildings and green trees are in a dense residential area ."


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain_words("  A plane, near the Gate's  end . ") == "a plane near the gate s end"


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


class Constant:
    """Says the same about every image."""

    def run(self, image: Pictures, tasks: Sequence[Task], /) -> list[TaskResult]:
        return [TextResult("caption", "text", CONSTANT) for _ in tasks]


def test_the_best_constant_sentence_scores_on_rsicd_what_others_measured(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # METEOR would take a minute
    file = shared / "data" / "rsicd" / "captions.json"
    samples = read_samples(Benchmark(file, format="captions", split="val", tasks=("caption",)))

    word_level, _ = score_answers(list(ask_all(Constant(), samples)), Drawing(0))

    found = {figure.name: figure.value or 0 for figure in word_level.figures}
    assert (round(found["CIDEr"], 1), round(found["BLEU-4"], 1)) == (47.8, 15.3)


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8).map(" ".join)


@given(said=WORDS, known=st.lists(WORDS, min_size=1, max_size=3))
def test_any_words_score_as_in_pycocoevalcap(said: str, known: list[str]) -> None:
    from pycocoevalcap.rouge.rouge import Rouge

    assert rouge_of_words(said, known) == pytest.approx(Rouge().calc_score([said], known))


def test_a_caption_of_ten_thousand_words_is_scored_too() -> None:
    long = " ".join(["a", "boat"] * 5000)

    assert 0 < rouge_of_words(" ".join(long.replace(" ", "")), ["t w o b o a t s"]) < 0.1
