from __future__ import annotations

import pytest

from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.figures import Figure
from skyeye_edge.evaluation.scoring.words import kind_of, score_ask, score_classify


def asked(number: int, kind: str, right: bool) -> Answered:
    return Answered(
        f"{number}", f"{number // 2}.jpg", "ask", asked="?", kind=kind, references=("yes",),
        outcome="text", said="Yes." if right else "no",
    )  # fmt: skip


def figures(answers: list[Answered]) -> dict[str, Figure]:
    (table,) = score_ask(answers, Drawing(draws=50))
    return {figure.name: figure for figure in table.figures}


def test_the_average_is_the_unweighted_mean_of_types_without_count_and_area() -> None:
    kinds = {"presence": (4, 4), "comparison": (1, 2), "count": (0, 5), "area": (0, 1)}
    answers = [
        asked(100 * place + n, kind, n < right)
        for place, (kind, (right, number)) in enumerate(kinds.items())
        for n in range(number)
    ]

    found = figures(answers)

    assert {name: found[name].value for name in kinds} == {
        "presence": 100, "comparison": 50, "count": 0, "area": 0,
    }  # fmt: skip
    assert found["average"].value == pytest.approx(75)
    assert found["average"].number == 6
    assert found["all questions"].value == pytest.approx(100 * 5 / 12)


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("Is there a road?", "yes", "presence"),
        ("Is it a rural or an urban area", "rural", "rural/urban"),
        ("Are there more roads than buildings?", "no", "comparison"),
        ("How many buildings are there?", "12", "count"),
        ("What is the area covered by water?", "0m2", "area"),
        ("what colour is the roof?", "red", "words"),
    ],
)
def test_a_type_that_is_not_stated_is_told_from_the_question(
    question: str, answer: str, kind: str
) -> None:
    assert kind_of(question, answer) == kind


def test_classes_have_a_share_each() -> None:
    answers = [
        Answered(str(n), f"{n}.jpg", "classify", references=(label,), outcome="text", said=said)
        for n, (label, said) in enumerate([("pier", "pier"), ("pier", "road"), ("road", "road")])
    ]

    (table,) = score_classify(answers, Drawing(draws=0))

    assert [(f.name, f.value and round(f.value, 1), f.number) for f in table.figures] == [
        ("accuracy", 66.7, 3),
        ("class pier", 50, 2),
        ("class road", 100, 1),
    ]
