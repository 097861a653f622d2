"""Questions of every kind about an annotated image."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from skyeye_edge.core.boxes import Box, BoxSpec, Size
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.builders.boxes import (
    absent_turns,
    detect_turns,
    ground_turns,
    identify_turns,
    question_turns,
)
from skyeye_edge.training.data.builders.descriptions import global_turn, local_turn
from skyeye_edge.training.data.builders.events import event_turns
from skyeye_edge.training.data.builders.known import Known, known
from skyeye_edge.training.data.builders.reasoning import reasoning
from skyeye_edge.training.data.builders.referring import expressions, groups
from skyeye_edge.training.data.record import Turn

# Asked of everything, in equal shares, where a recipe does not say.
UsualKind = Literal[
    "caption",
    "describe",
    "classify",
    "ground",
    "absent",
    "detect",
    "identify",
    "ask",
    "converse",
]
Kind = Literal[
    UsualKind, "refer", "express", "phrase", "event", "local", "global", "reason"
]  # one flat list: recipes are checked against it
USUAL_KINDS: tuple[Kind, ...] = get_args(UsualKind)
# Made from boxes, captions and classes, where a recipe names them.
MADE_KINDS: tuple[Kind, ...] = (
    "refer",
    "express",
    "phrase",
    "event",
    "local",
    "global",
    "reason",
)
KINDS: tuple[Kind, ...] = (*USUAL_KINDS, *MADE_KINDS)
WHOLE: tuple[Kind, ...] = ("converse", "reason")  # their turns are one conversation
OF_ONE_IMAGE: tuple[Kind, ...] = (  # not of a clip
    "ground",
    "absent",
    "detect",
    "identify",
    "refer",
    "express",
    "phrase",
    "local",
    "reason",
)
MOST_CLASSES = 5  # wrong ones beside the right one, mostly: a list of all is long
ALL_CLASSES = 0.3  # how often all are listed


def build_turns(
    kind: Kind,
    item: Annotation,
    data: DataSet,
    size: Size,
    boxes: BoxSpec,
    chance: random.Random,
) -> list[Turn]:
    """All turns of a kind that the annotation knows an answer to; none if it knows none.

    Of `WHOLE` kinds they are one conversation in its order.

    Args:
        kind: what is asked.
        item: the image; its boxes are in pixels.
        data: where it comes from; its labels and classes are what may be absent.
        size: (width, height) of the image.
        boxes: whether the model can say that nothing is there, and how.
        chance: chooses wrong classes and questions.
    """
    if kind in OF_ONE_IMAGE and len(item.images) > 1:
        return []
    sure = known(item, data.labels, size)
    match kind:
        case "caption":
            return [Turn(Caption(), _text("caption", words)) for words in item.captions]
        case "describe":
            return _describe(item, chance)
        case "classify":
            return _classify(item, data, chance)
        case "ground":
            found = [Turn(Ground(w), GroundResult(w, "found", (Box(b),))) for w, b in item.phrases]
            return found + ground_turns(sure.objects, size)
        case "absent":
            return _absent(item, sure, boxes)
        case "detect":
            return detect_turns(sure.objects)
        case "identify":
            return identify_turns(item.objects)
        case "ask":
            asked = [_ask(question, answer) for question, answer in item.questions]
            return asked + question_turns(sure.objects, sure.missing, chance)
        case "converse":
            return list(chance.choice(item.conversations)) if item.conversations else []
        case "refer":
            return [
                Turn(Ground(w), GroundResult(w, "found", (Box(b),))) for w, b in expressions(sure)
            ]
        case "express":
            return [
                Turn(Identify(box), TextResult("identify", "text", words, box=box))
                for words, box in expressions(sure)
            ]
        case "phrase":
            return [
                Turn(Detect(words), DetectResult(words, "found", tuple(map(Box, found))))
                for words, found in groups(sure)
            ]
        case "event":
            return event_turns(item, data.scenes, chance)
        case "local":
            return local_turn(sure)
        case "global":
            return global_turn(item, sure)
        case "reason":
            return reasoning(item, sure, chance)


def draw_turns(
    build: Callable[[Kind], Sequence[Turn]],
    ratios: Mapping[Kind, float],
    number: int,
    chance: random.Random,
) -> list[Turn]:
    """Up to `number` different turns, their kinds drawn by `ratios`; fewer if there are no more.

    A `WHOLE` kind that is drawn first is the conversation, however long.

    Args:
        build: all turns of a kind.
        ratios: how often a kind is drawn; kinds that are not named are not.
        number: at least 1.
        chance: draws.
    """
    left = {kind: list(build(kind)) for kind, ratio in ratios.items() if ratio > 0}
    drawn: list[Turn] = []
    while len(drawn) < number and any(left.values()):
        kinds = [kind for kind in left if left[kind]]
        kind = chance.choices(kinds, [ratios[each] for each in kinds])[0]
        if kind in WHOLE:
            turns = left.pop(kind)
            if not drawn:
                return turns
            continue
        turn = left[kind].pop(chance.randrange(len(left[kind])))
        left[kind] = [other for other in left[kind] if other.task != turn.task]  # asked once
        drawn.append(turn)
        if kind in ("caption", "describe", "classify"):
            left[kind].clear()  # nobody asks for a second caption of the same image
    return drawn


def spaced(name: str) -> str:
    """`BareLand` to `bare land`; other names stay as they are."""
    if " " in name or not any(letter.isupper() for letter in name):
        return name
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _describe(item: Annotation, chance: random.Random) -> list[Turn]:
    different = list(dict.fromkeys(item.captions))
    if not different:
        return []
    told = chance.sample(different, min(3, len(different)))
    return [Turn(Describe(), _text("describe", " ".join(told)))]


def _classify(item: Annotation, data: DataSet, chance: random.Random) -> list[Turn]:
    if not item.scene:
        return []
    others = [name for name in data.scenes if name != item.scene]
    if chance.random() >= ALL_CLASSES:
        others = chance.sample(others, min(len(others), chance.randint(1, MOST_CLASSES)))
    names = [*others, item.scene]
    chance.shuffle(names)
    write = spaced if chance.random() < 0.5 else str
    label = write(item.scene)
    return [Turn(Classify(tuple(write(n) for n in names)), ClassifyResult(label, "text", label))]


def _absent(item: Annotation, sure: Known, boxes: BoxSpec) -> list[Turn]:
    if not boxes.absent:
        return []
    stated = [
        Turn(Ground(words), GroundResult(words, "absent", (), text=boxes.absent))
        for words in item.absent
    ]
    return stated + absent_turns(sure.missing, boxes.absent)


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))


def _text(task: Literal["caption", "describe"], words: str) -> TextResult:
    return TextResult(task, "text", words)
