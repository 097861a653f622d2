"""Descriptions made from boxes and captions: of the objects (local), of the whole (global)."""

from __future__ import annotations

from collections.abc import Sequence

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.results import TextResult
from skyeye_edge.core.tasks import Describe
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.boxes import CLEAR_POSITION
from skyeye_edge.training.data.builders.known import Known
from skyeye_edge.training.data.builders.referring import MOST_IN_PHRASE
from skyeye_edge.training.data.builders.words import counted, listed, middle, plural, side
from skyeye_edge.training.data.record import Turn

MOST_TOLD = 5  # kinds of objects in one description
MOST_RELATIONS = 2


def local_turn(known: Known) -> list[Turn]:
    """Kinds of objects, how many, where and beside what, with boxes; none without a box to show."""
    told = _told_labels(known)
    if not told:
        return []
    sentences, phrases = [], []
    for label in told:
        boxes = known.boxes(label)
        words = counted(label, len(boxes))
        place = side(boxes, known.size)
        verb = "is" if len(boxes) == 1 else "are"
        sentences.append(f"there {verb} {words} {place}".strip() + ".")
        if len(boxes) <= MOST_IN_PHRASE:
            phrases.append((words, tuple(Box(box) for box in boxes)))
    if not phrases:
        return []
    sentences += relations(known)[:MOST_RELATIONS]
    text = " ".join(sentences)
    return [
        Turn(Describe(boxes=True), TextResult("describe", "text", text, phrases=tuple(phrases)))
    ]


def global_turn(item: Annotation, known: Known) -> list[Turn]:
    """Class, captions and the sum of the objects in one text; none if there is but one of them."""
    parts = []
    if item.scene:
        what = "video" if len(item.images) > 1 else "picture"
        parts.append(f"the {what} shows {item.scene} .")
    parts += _different(item.captions)
    if told := _told_labels(known):
        counts = known.counts
        parts.append(f"it has {listed([counted(label, counts[label]) for label in told])} .")
        parts += [sentence for label in told[:1] if (sentence := _spread(label, known))]
    if len(parts) < 2:
        return []
    return [Turn(Describe(), TextResult("describe", "text", " ".join(parts)))]


def relations(known: Known) -> list[str]:
    """How the only objects of their labels lie to each other, where it is clear."""
    only = [(label, known.boxes(label)[0]) for label, n in sorted(known.counts.items()) if n == 1]
    return [
        f"the {label} is {words} the {other}."
        for place, (label, box) in enumerate(only)
        for other, anchor in only[place + 1 :]
        if (words := relation(box, anchor, known))
    ]


def relation(box: XYXY, other: XYXY, known: Known) -> str:
    """`left of`, `right of`, `above`, `below`: on the axis that parts them, edges apart."""
    x, y = middle(box, known.size)
    there_x, there_y = middle(other, known.size)
    if abs(x - there_x) > 2 * abs(y - there_y) + CLEAR_POSITION:
        if box[2] <= other[0]:
            return "left of"
        return "right of" if box[0] >= other[2] else ""
    if abs(y - there_y) > 2 * abs(x - there_x) + CLEAR_POSITION:
        if box[3] <= other[1]:
            return "above"
        return "below" if box[1] >= other[3] else ""
    return ""


def _told_labels(known: Known) -> list[str]:
    return [label for label, _ in sorted(known.counts.items(), key=_by_number)][:MOST_TOLD]


def _by_number(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _different(captions: Sequence[str]) -> list[str]:
    """Up to two different captions, each ending in a full stop of its own."""
    kept = list(dict.fromkeys(captions))[:2]
    return [text if text.endswith(".") else f"{text} ." for text in kept]


def _spread(label: str, known: Known) -> str:
    """On which side all of several lie, if they do."""
    boxes = known.boxes(label)
    place = side(boxes, known.size)
    return f"the {plural(label)} are all {place} ." if len(boxes) > 1 and place else ""
