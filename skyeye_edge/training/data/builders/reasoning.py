"""Conversations in which every question builds on the answers before it."""

from __future__ import annotations

import random

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.results import GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Ground
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.boxes import phrases
from skyeye_edge.training.data.builders.descriptions import relation
from skyeye_edge.training.data.builders.known import Known
from skyeye_edge.training.data.builders.words import (
    COUNTED,
    counted,
    listed,
    one,
    plural,
    side,
)
from skyeye_edge.training.data.record import Turn

FEWEST = 3  # turns that make it a chain
CLEARLY_MORE = 2  # of one label than of another


def reasoning(item: Annotation, known: Known, chance: random.Random) -> list[Turn]:
    """One conversation: what is there, how many, which one, where, compared with what, so what.

    Only steps whose answer is known are taken; none if fewer than three are left.
    """
    counts = known.counts
    few = [label for label, number in sorted(counts.items()) if number <= COUNTED]
    if not few:
        return []
    label = chance.choice(few)
    turns = []
    if not item.cut:  # else there may be others
        kinds = listed([plural(each) for each in sorted(counts)])
        turns.append(_ask("which kinds of objects are there?", kinds))
    turns.append(_ask(f"how many {plural(label)} do you see?", str(counts[label])))
    turns += _which(label, known, chance)
    turns += _compared(label, known, chance)
    turns += _denied(known, chance)
    turns += _concluded(item, label, known)
    return turns if len(turns) >= FEWEST else []


def _which(label: str, known: Known, chance: random.Random) -> list[Turn]:
    """One of them, where it is, and what it is beside."""
    same = [each for each in known.objects if each[1] == label]
    found = phrases(same, known.size)
    if not found:
        return []
    phrase, box = chance.choice(found)
    turns = [Turn(Ground(phrase), GroundResult(phrase, "found", (Box(box),)))]
    if place := side([box], known.size):
        turns.append(_ask("in which part of the picture is it?", place))
    for other, number in sorted(known.counts.items()):
        words = relation(box, known.boxes(other)[0], known) if number == 1 else ""
        if other != label and words:
            turns.append(_ask(f"where is it, seen from the {other}?", f"{words} the {other}"))
            break
    return turns


def _compared(label: str, known: Known, chance: random.Random) -> list[Turn]:
    counts = known.counts
    others = [each for each in sorted(counts) if abs(counts[each] - counts[label]) >= CLEARLY_MORE]
    if not others:
        return []
    other = chance.choice(others)
    answer = "yes" if counts[label] > counts[other] else "no"
    return [_ask(f"are there more {plural(label)} than {plural(other)}?", answer)]


def _denied(known: Known, chance: random.Random) -> list[Turn]:
    if not known.missing or chance.random() < 0.5:
        return []
    return [_ask(f"is there also {one(chance.choice(known.missing))}?", "no")]


def _concluded(item: Annotation, label: str, known: Known) -> list[Turn]:
    """What the whole is, as far as a class or a caption says so."""
    seen = counted(label, known.counts[label])
    if item.scene:
        return [_ask("so what does the picture show?", f"{item.scene}, with {seen}")]
    if item.captions:
        return [_ask("so what does the picture show?", item.captions[0])]
    return []


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))
