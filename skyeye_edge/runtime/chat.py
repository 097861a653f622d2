"""A conversation about one image or clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.prompt import Turn
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)
from skyeye_edge.core.tasks import (
    Ask,
    Caption,
    Classify,
    Describe,
    Detect,
    Ground,
    Identify,
    Task,
)
from skyeye_edge.runtime.question import Answer, Question

_Result = TypeVar("_Result", TextResult, ClassifyResult, GroundResult, DetectResult)


class Chat:
    """Questions that follow each other; the model reads all that was said before.

    A question that fails, for example because the conversation no longer fits the context, is not
    part of the history: a shorter one, or a new chat, goes on.
    """

    def __init__(
        self,
        answer: Callable[[Question], Answer],
        frames: tuple[Frame, ...],
        temperature: float,
        seed: int,
    ) -> None:
        self._answer, self._frames = answer, frames
        self._temperature, self._seed = temperature, seed
        self._said: list[tuple[Task, TaskResult]] = []
        self._turns: list[Turn] = []

    @property
    def history(self) -> tuple[tuple[Task, TaskResult], ...]:
        """What was asked and answered so far, in order."""
        return tuple(self._said)

    def caption(self) -> TextResult:
        """One sentence."""
        return self._tell(Caption(), TextResult)

    def describe(self, *, boxes: bool = False) -> TextResult:
        """A longer description; with `boxes`, `phrases` says where things are."""
        return self._tell(Describe(boxes), TextResult)

    def classify(self, names: Sequence[str], *, question: str = "") -> ClassifyResult:
        """Which one of `names` it is; with a `question`, which of them answers it."""
        task = Classify(names, question)  # type: ignore[arg-type]  # it makes a tuple of any sequence
        return self._tell(task, ClassifyResult)

    def ground(self, phrase: str) -> GroundResult:
        """The one region that `phrase` means."""
        return self._tell(Ground(phrase), GroundResult)

    def detect(self, name: str) -> DetectResult:
        """Every object called `name`."""
        return self._tell(Detect(name), DetectResult)

    def identify(self, box: XYXY | Box) -> TextResult:
        """What is in a box, given in pixels."""
        return self._tell(Identify(box.hull if isinstance(box, Box) else box), TextResult)

    def ask(self, question: str) -> TextResult:
        """The answer to a free question."""
        return self._tell(Ask(question), TextResult)

    def _tell(self, task: Task, kind: type[_Result]) -> _Result:
        question = Question(
            self._frames,
            (task,),
            history=tuple(self._turns),
            temperature=self._temperature,
            seed=self._seed + len(self._turns),  # else every answer would meet the same chance
        )
        answer = self._answer(question)
        (answered,), (reply,) = answer.results, answer.replies
        result = replace(answered, image=self._frames[-1].rgb)
        assert isinstance(result, kind)
        self._said.append((task, result))
        # Its own words, marks of boxes and all: a result leaves out what users do not want to see.
        self._turns.append((task, reply.text.strip()))
        return result
