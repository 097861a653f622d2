"""Contestant: a caption and a grounding about every frame of a looped video, by any revision.

Only what every revision has is used: `load`, `stream` and its events.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import skyeye_edge as sky
from lines import answer, keep_stdout, questions
from skyeye_edge.core.events import AnswerEvent

TASKS = (sky.Caption(), sky.Ground("the car"))


def main() -> None:
    """Answer about so many frames more, until there is no question more."""
    keep_stdout()
    video, bundle = map(Path, sys.argv[1:])
    # the clip comes round again: its images must not be remembered till then
    remembers = "remember_mib" in inspect.signature(sky.load).parameters
    with sky.load(bundle, remember_mib=32) if remembers else sky.load(bundle) as model:
        model.warm_up()
        answers = looped(model, video)
        answer({"ready": str(Path(sky.__file__).parent)})
        for asked in questions():
            answer({"frames": sum(1 for _ in islice(answers, asked["frames"]))})


def looped(model: sky.Model, video: Path) -> Iterator[AnswerEvent]:
    """Answers without end."""
    while True:
        with model.stream(video, TASKS, every=0) as events:
            yield from (each for each in events if isinstance(each, AnswerEvent))


if __name__ == "__main__":
    main()
