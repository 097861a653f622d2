from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.figures import Figure
from skyeye_edge.evaluation.scoring.captions import score_captions

NONE = Drawing(draws=0)
WORDS = (
    *("a", "the", "two", "many", "white", "boats", "cars", "trees", "lie", "near"),
    *("by", "in", "don't", "U.S.", "e-mail", "(road)", "river", "."),
)


@pytest.fixture(autouse=True)
def without_java(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR takes seconds to start: only the test that is about it waits for it."""
    if not request.node.get_closest_marker("java"):
        monkeypatch.setenv("PATH", "/nowhere")


def sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(3, 12)))


def captions(number: int, seed: int) -> list[Answered]:
    chance = random.Random(seed)
    return [
        Answered(
            f"{n}.jpg#caption:0",
            f"{n}.jpg",
            "caption",
            references=tuple(sentence(chance) for _ in range(chance.randint(1, 5))),
            outcome="text",
            said=sentence(chance) if n else "",
        )
        for n in range(number)
    ]


def figures(answers: list[Answered], drawing: Drawing = NONE) -> dict[str, Figure]:
    word_level, _ = score_captions(answers, drawing)
    return {figure.name: figure for figure in word_level.figures}


@pytest.mark.java
@pytest.mark.parametrize("number", [1, 40])
def test_figures_are_pycocoevalcaps_own(number: int) -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    answers = captions(number, seed=number)
    tokenizer = PTBTokenizer()
    known = tokenizer.tokenize({a.key: [{"caption": r} for r in a.references] for a in answers})
    said = tokenizer.tokenize({a.key: [{"caption": a.said}] for a in answers})

    found = figures(answers)

    bleu, _ = Bleu(4).compute_score(known, said, verbose=0)
    expected = {f"BLEU-{n}": score for n, score in enumerate(bleu, start=1)}
    expected["METEOR"] = Meteor().compute_score(known, said)[0]
    expected["ROUGE-L"] = Rouge().compute_score(known, said)[0]
    expected["CIDEr"] = Cider().compute_score(known, said)[0]
    if number == 1:  # pycocoevalcap takes the mean length of the references of a single image
        del expected["BLEU-1"], expected["BLEU-2"], expected["BLEU-3"], expected["BLEU-4"]
    for name, score in expected.items():
        assert found[name].value == pytest.approx(100 * score, abs=1e-9), name


def test_right_captions_score_all_there_is() -> None:
    answers = [
        Answered(f"{n}#", f"{n}", "caption", references=(text,), outcome="text", said=text)
        for n, text in enumerate(["a plane on the runway now", "two boats lie at a pier"])
    ]

    found = figures(answers)

    assert found["BLEU-4"].value == pytest.approx(100, abs=0.01)
    assert found["CIDEr"].value == pytest.approx(1000, abs=0.1)
    assert found["ROUGE-L"].value == pytest.approx(100)


def test_an_interval_holds_its_figure_and_narrows_with_more_images() -> None:
    few, many = (
        figures(captions(n, seed=5), Drawing(draws=200, seed=1))["BLEU-1"] for n in (10, 160)
    )

    assert few.interval is not None
    assert many.interval is not None
    assert few.value is not None
    assert few.interval[0] <= few.value <= few.interval[1]
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, again, other = (
        figures(captions(20, seed=2), Drawing(draws=50, seed=seed)) for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other


def test_characters_are_a_table_of_their_own() -> None:
    word_level, character_level = score_captions(captions(5, seed=1), NONE)

    assert (word_level.title, character_level.title) == ("word level", "character level")
    assert word_level.figures != character_level.figures


def test_without_java_meteor_is_named_as_left_out() -> None:
    assert shutil.which("java") is None

    meteor = figures(captions(3, seed=1))["METEOR"]

    assert meteor.value is None
    assert "needs Java" in meteor.note


def test_a_java_that_does_not_run_leaves_meteor_out_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    meteor = figures(captions(3, seed=1))["METEOR"]

    assert meteor.value is None
    assert "does not run" in meteor.note
