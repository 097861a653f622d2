"""What is asked about a view, with the weight of every answer."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.results import ClassifyResult, GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Ground
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.boxes import identify_turns, phrases
from skyeye_edge.training.data.builders.turns import spaced
from skyeye_edge.training.data.builders.words import COUNTED, counted, one, plural
from skyeye_edge.training.data.labels import alike, is_unsure
from skyeye_edge.training.data.record import Turn

T = TypeVar("T")
Weighted = tuple[Turn, float]

EVERY_NAME = 0.2  # share of pictures with a class that are asked for it among all classes
CAPTION, BOX, WORD = 8.0, 4.0, 1.5  # weight of an answer: sentence, box, word


def questions_about(
    view: Annotation,
    classes: Sequence[str],
    labels: frozenset[str],
    absent: str,
    chance: random.Random,
) -> list[Weighted]:
    """Turns about a square view, the most telling first; whoever packs them takes what fits.

    Args:
        view: what is seen; boxes in its pixels.
        classes: the scene classes of its set.
        labels: of all box sets, to ask for what is not there.
        absent: how the model says so.
        chance: draws.
    """
    if view.scene and len(classes) > 1 and chance.random() < EVERY_NAME:
        return [(_classify(view.scene, classes, len(classes), chance), 5.0)]  # a long question
    turns = _captions(view, chance)
    turns += _places(view, labels, absent, chance)
    turns += [(_ask(q, a), WORD) for q, a in _some(view.questions, 3, chance)]
    if view.scene and len(classes) > 1:
        turns.append((_classify(view.scene, classes, chance.randint(2, 6), chance), 2.0))
        turns += _is_this(view.scene, classes, chance)
    if view.objects:
        turns += [(turn, 1.0) for turn in _some(identify_turns(view.objects), 1, chance)]
        turns += _presence(view, labels, chance)
    return turns


def _captions(view: Annotation, chance: random.Random) -> list[Weighted]:
    if not view.captions:
        told = _told(view, chance) if view.objects and chance.random() < 0.2 else ""
        return [(_caption(told), 2.0)] if told else []
    counts = Counter(view.captions)
    if view.origin == "synthetic":
        return [(_caption(chance.choice(list(counts))), BOX)] if chance.random() < 0.35 else []
    texts = chance.sample(list(counts), min(3, len(counts)))
    total = sum(math.sqrt(counts[text]) for text in texts)
    turns = [(_caption(text), CAPTION * math.sqrt(counts[text]) / total) for text in texts]
    if chance.random() < 0.12:
        long = " ".join(chance.sample(list(counts), min(3, len(counts))))
        turns.append((Turn(Describe(), TextResult("describe", "text", long)), 2.0))
    return turns


def _places(
    view: Annotation, labels: frozenset[str], absent: str, chance: random.Random
) -> list[Weighted]:
    side = view.rgb.shape[0]
    known = [each for each in view.objects if not is_unsure(each[1], view.cut)]
    written = list(view.phrases)
    made = phrases(known, (side, side)) if view.origin != "synthetic" else []
    plain = [(text, box) for text, box in made if text[4:] in {label for _, label in known}]
    found = _some(written, 4, chance) + _some(plain, 3, chance)
    found += _some([each for each in made if each not in plain], max(0, 4 - len(found)), chance)
    turns = [(Turn(Ground(text), _found(text, box)), BOX) for text, box in found]
    missing = list(view.absent) + _missing(view, labels, chance)
    number = chance.choice((1, 1, 2)) if found else 1
    for text in _some(missing, number, chance):
        turns.append((Turn(Ground(text), GroundResult(text, "absent", (), text=absent)), BOX))
    return turns


def _missing(view: Annotation, labels: frozenset[str], chance: random.Random) -> list[str]:
    """Phrases of labels that are surely not there."""
    return [f"the {label}" for label in _some(_gone(view, labels), 3, chance)]


def _gone(view: Annotation, labels: frozenset[str]) -> list[str]:
    """Labels of real objects that the view surely does not show."""
    there = alike({label for _, label in view.objects} | view.cut)
    return sorted(each for each in view.closed & labels if not is_unsure(each, there))


def _presence(view: Annotation, labels: frozenset[str], chance: random.Random) -> list[Weighted]:
    """Is there one, how many: yes as often as no, and only what is known."""
    counts = Counter(label for _, label in view.objects)
    label = chance.choice(sorted(counts))
    gone = _gone(view, labels)
    turns: list[Weighted] = []
    if gone and chance.random() < 0.5:
        turns.append((_ask(f"is there {one(chance.choice(gone))}?", "no"), WORD))
    else:
        turns.append((_ask(f"is there {one(label)}?", "yes"), WORD))
    if counts[label] <= COUNTED and label in view.closed and not is_unsure(label, view.cut):
        turns.append((_ask(f"how many {plural(label)} are there?", str(counts[label])), WORD))
    return turns


def _told(view: Annotation, chance: random.Random) -> str:
    """A sentence of what, how many and where, for a picture that has only boxes."""
    counts = Counter(label for _, label in view.objects if not is_unsure(label, view.cut))
    kinds = [label for label, _ in counts.most_common(2) if label in view.closed]
    if not kinds:
        return ""
    told = [counted(label, counts[label]) for label in kinds]
    opening = "a thermal picture shows" if view.origin == "hit_uav" else "the picture shows"
    where = _where([box for box, name in view.objects if name == kinds[0]], view.rgb.shape[0])
    place = f" {where}" if len(kinds) == 1 and where and chance.random() < 0.7 else ""
    return f"{opening} {' and '.join(told)}{place} ."


def _where(boxes: Sequence[XYXY], side: int) -> str:
    """On which side all of some boxes lie; empty if they do not lie on one."""
    across = [(box[0] + box[2]) / 2 / side for box in boxes]
    down = [(box[1] + box[3]) / 2 / side for box in boxes]
    words = []
    if max(down) < 0.4:
        words.append("top")
    elif min(down) > 0.6:
        words.append("bottom")
    if max(across) < 0.4:
        words.append("left")
    elif min(across) > 0.6:
        words.append("right")
    if words:
        return f"at the {' '.join(words)}"
    return "in the middle" if max(abs(x - 0.5) for x in across + down) < 0.15 else ""


def _classify(scene: str, classes: Sequence[str], number: int, chance: random.Random) -> Turn:
    others = [name for name in classes if name != scene]
    names = [*chance.sample(others, min(len(others), number - 1)), scene]
    chance.shuffle(names)
    if chance.random() < 0.3:
        names.sort()
    write = spaced if chance.random() < 0.35 else str
    label = write(scene)
    return Turn(Classify(tuple(write(name) for name in names)), ClassifyResult(label, "text"))


def _is_this(scene: str, classes: Sequence[str], chance: random.Random) -> list[Weighted]:
    if chance.random() > 0.2:
        return []
    asked = chance.choice(classes) if chance.random() < 0.5 else scene
    return [(_ask(f"is this a {spaced(asked)}?", "yes" if asked == scene else "no"), 1.0)]


def _some(items: Sequence[T], number: int, chance: random.Random) -> list[T]:
    return chance.sample(list(items), min(number, len(items)))


def _found(phrase: str, box: XYXY) -> GroundResult:
    return GroundResult(phrase, "found", (Box(box),))


def _caption(text: str) -> Turn:
    return Turn(Caption(), TextResult("caption", "text", text))


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))
