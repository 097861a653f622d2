"""What the engine is asked, what it answers, and what it knows of a question on its way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from skyeye_edge.core.arguments import check_number, check_whole
from skyeye_edge.core.errors import InputError, LateError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.prompt import Turn
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import TaskResult
from skyeye_edge.core.tasks import ONE_FRAME_TASKS, Task, as_tasks, task_name
from skyeye_edge.runtime.language import EncodedImage


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the runtime is asked at once: every task about the same frame or clip."""

    frames: tuple[Frame, ...]
    tasks: tuple[Task, ...]
    history: tuple[Turn, ...] = ()  # earlier questions of a chat, with their answers
    max_tokens: int | None = None  # None: as core.tasks says for each task
    temperature: float = 0.0
    seed: int = 0
    keep_logits: bool = False
    words: int | None = None  # tokens of answers in words; boxes need all of theirs

    def __post_init__(self) -> None:
        if not self.frames:
            raise InputError("a question needs at least one frame")
        if self.max_tokens is not None:
            check_whole(self.max_tokens, "max_tokens", 1)
        if self.words is not None:
            check_whole(self.words, "words", 1)
        check_number(self.temperature, "temperature", 0)
        check_whole(self.seed, "seed")
        for task in as_tasks(self.tasks):
            if len(self.frames) > 1 and isinstance(task, ONE_FRAME_TASKS):
                raise InputError(
                    f"{task_name(task)}: boxes belong to one frame, and this is a clip of "
                    f"{len(self.frames)}; ask about one of them"
                )


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One result per task, in order; and the replies they were read from."""

    results: tuple[TaskResult, ...]
    timing_ms: dict[str, float]  # by step; `age` only for frames that know when they arrived
    replies: tuple[Reply, ...]


@dataclass(slots=True, eq=False)
class Job:
    """What is to be computed, who waits for it, and what was computed so far."""

    frames: Sequence[Frame]
    done: Future[Any]  # an Answer; without a question the visual tokens
    question: Question | None = None
    deadline: float | None = None  # monotonic seconds
    images: tuple[EncodedImage, ...] = ()
    timing_ms: dict[str, float] = field(default_factory=dict)
    replies: dict[int, Reply] = field(default_factory=dict)  # by number of the task
    ended: Event = field(default_factory=Event)  # answered, failed or cancelled

    def __post_init__(self) -> None:
        ended = self.ended  # by itself: a circle would keep the frames until garbage is collected
        self.done.add_done_callback(lambda _: ended.set())

    def is_wanted(self) -> bool:
        """Whether somebody waits for it, and its time has not passed; if it has, it fails."""
        if not self.done.done() and self.deadline is not None:
            late = time.monotonic() - self.deadline
            if late > 0:
                self.fail(LateError(f"its turn came {late:.3f} s after its deadline"))
        return not self.done.done()

    def finish(self, result: object) -> None:
        """Hand over the result, if somebody still waits."""
        with suppress(InvalidStateError):  # cancelled meanwhile
            self.done.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand over why there is none."""
        with suppress(InvalidStateError):
            self.done.set_exception(error)
