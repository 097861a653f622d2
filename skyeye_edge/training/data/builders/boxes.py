"""Turns about annotated objects: phrases made from class, position and size."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from skyeye_edge.core.boxes import XYXY, Box, Size
from skyeye_edge.core.results import DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Object
from skyeye_edge.training.data.builders.words import COUNTED, one, plural
from skyeye_edge.training.data.record import Turn

# A position or size names one object only if it stands clear of the next one by this share of the
# image's side (position) or of its own area (size).
CLEAR_POSITION = 0.05
CLEAR_SIZE = 0.25
MOST_DETECTED = 12  # more boxes than this are not asked for at once


def phrases(objects: Sequence[Object], size: Size) -> list[tuple[str, XYXY]]:
    """Every phrase that means exactly one of the objects, with its box.

    `the <label>` if the label is unique in the image, else the extreme one of its label.
    """
    counts = Counter(label for _, label in objects)
    found: list[tuple[str, XYXY]] = []
    for label in sorted(counts):
        same = [box for box, name in objects if name == label]
        if counts[label] == 1:
            found.append((f"the {label}", same[0]))
        else:
            found += _extremes(label, same, size)
    return found


def _extremes(label: str, same: Sequence[XYXY], size: Size) -> list[tuple[str, XYXY]]:
    width, height = size
    across = [((x1 + x2) / 2 / width, (x1, y1, x2, y2)) for x1, y1, x2, y2 in same]
    down = [((y1 + y2) / 2 / height, (x1, y1, x2, y2)) for x1, y1, x2, y2 in same]
    area = [((x2 - x1) * (y2 - y1), (x1, y1, x2, y2)) for x1, y1, x2, y2 in same]
    found = []
    for word, ranked in (
        ("leftmost", sorted(across)),
        ("rightmost", sorted(across, reverse=True)),
        ("topmost", sorted(down)),
        ("bottommost", sorted(down, reverse=True)),
    ):
        if abs(ranked[0][0] - ranked[1][0]) >= CLEAR_POSITION:
            found.append((f"the {word} {label}", ranked[0][1]))
    by_area = sorted(area, reverse=True)
    if by_area[1][0] <= by_area[0][0] * (1 - CLEAR_SIZE):
        found.append((f"the largest {label}", by_area[0][1]))
    return found


def ground_turns(objects: Sequence[Object], size: Size) -> list[Turn]:
    """One Ground turn for every phrase that means exactly one object."""
    return [
        Turn(Ground(phrase), GroundResult(phrase, "found", (Box(box),)))
        for phrase, box in phrases(objects, size)
    ]


def absent_turns(missing: Sequence[str], absent: str) -> list[Turn]:
    """One Ground turn for every label that the image surely has not."""
    return [
        Turn(Ground(f"the {label}"), GroundResult(f"the {label}", "absent", (), text=absent))
        for label in missing
    ]


def detect_turns(objects: Sequence[Object]) -> list[Turn]:
    """One Detect turn for every label that is not too crowded; boxes from left to right."""
    turns = []
    for label in sorted({label for _, label in objects}):
        same = sorted(box for box, name in objects if name == label)
        if len(same) <= MOST_DETECTED:
            boxes = tuple(Box(box) for box in same)
            turns.append(Turn(Detect(label), DetectResult(label, "found", boxes)))
    return turns


def identify_turns(objects: Sequence[Object]) -> list[Turn]:
    """One Identify turn for every object."""
    return [
        Turn(Identify(box), TextResult("identify", "text", label, box=box))
        for box, label in objects
    ]


def question_turns(
    objects: Sequence[Object], missing: Sequence[str], random: random.Random
) -> list[Turn]:
    """Presence (as often yes as no, where possible) and counts up to six.

    Args:
        objects: all of every label that occurs.
        missing: labels of which there surely is none.
        random: chooses among these.
    """
    counts = Counter(label for _, label in objects)
    asked = [(label, "yes") for label in counts]
    asked += [(label, "no") for label in random.sample(missing, min(len(missing), len(asked)))]
    turns = [_ask(f"is there {one(label)} in the image?", answer) for label, answer in asked]
    for label, number in counts.items():
        if number <= COUNTED:
            turns.append(_ask(f"how many {plural(label)} are there?", str(number)))
    return turns


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))
