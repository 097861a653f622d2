"""Questions about the class of a video or picture: ERA-VQA, made from ERA's event classes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skyeye_edge.core.results import TextResult
from skyeye_edge.core.tasks import Ask
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.words import listed
from skyeye_edge.training.data.record import Turn

OFFERED = 3  # wrong classes beside the right one


def event_turns(item: Annotation, scenes: Sequence[str], chance: random.Random) -> list[Turn]:
    """What happens, whether it is this or that, and which of some it is; none without a class.

    Args:
        item: a clip, or one picture.
        scenes: all classes of the set: what it is not is one of the others, since each image has
            one class.
        chance: chooses the others.
    """
    if not item.scene:
        return []
    what = "video" if len(item.images) > 1 else "picture"
    turns = [_ask(f"what is the event in this {what}?", item.scene)]
    turns.append(_ask(f"does this {what} show the event {item.scene}?", "yes"))
    others = [scene for scene in scenes if scene != item.scene]
    if others:
        wrong = chance.choice(others)
        turns.append(_ask(f"does this {what} show the event {wrong}?", "no"))
        offered = [*chance.sample(others, min(len(others), OFFERED)), item.scene]
        chance.shuffle(offered)
        turns.append(_ask(f"which event does this {what} show: {listed(offered)}?", item.scene))
    return turns


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))
