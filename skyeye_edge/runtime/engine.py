"""Questions in, answers out: one thread owns vision and language, one queue leads to it."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from skyeye_edge.core.arguments import check_number, check_whole
from skyeye_edge.core.automaton import task_automaton
from skyeye_edge.core.errors import BackendError, ClosedError, InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.preprocess import VisualTokens, preprocess
from skyeye_edge.core.prompt import Turn, build_prompt
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import TaskResult
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import ONE_FRAME_TASKS, Task, as_tasks, max_tokens, task_name
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request
from skyeye_edge.runtime.vision.onnx import OnnxVision

_Done = TypeVar("_Done")

KEPT_IMAGES = 16  # encoded images to remember: chats and stills ask again, video never does


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

    def __post_init__(self) -> None:
        if not self.frames:
            raise InputError("a question needs at least one frame")
        if self.max_tokens is not None:
            check_whole(self.max_tokens, "max_tokens", 1)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[_Done]):
    """Something to be computed, on its way through the queue."""

    work: Callable[[Callable[[], bool]], _Done]  # is given what says that nobody waits any more
    done: Future[_Done]

    def run(self) -> None:
        """Do it, or hand over why not: the thread must outlive any question."""
        if self.done.cancelled():
            return
        try:
            result = self.work(self.done.cancelled)
        except BaseException as error:
            with suppress(InvalidStateError):  # cancelled meanwhile
                self.done.set_exception(error)
        else:
            with suppress(InvalidStateError):
                self.done.set_result(result)


class Engine:
    """Vision and language behind a queue; safe to ask from many threads."""

    def __init__(
        self, vision: OnnxVision, language: LanguageModel, spec: ModelSpec, vision_sha256: str
    ) -> None:
        self._vision, self._language, self._spec = vision, language, spec
        self._salt = vision_sha256.encode()
        self._encoded: OrderedDict[bytes, EncodedImage] = OrderedDict()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # nothing is queued behind the end
        self._closed = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="skyeye-engine", daemon=True)
        self._thread.start()

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer to each question, in order; waits for them.

        Raises:
            ClosedError: the engine was closed, before or meanwhile.
            SkyEyeError: the first question that failed; the others are answered all the same.
        """
        return [answer.result() for answer in [self.submit(question) for question in questions]]

    def submit(self, question: Question) -> Future[Answer]:
        """The answer to come; raises ClosedError if the engine was closed before.

        Cancelled, it is given up after the encoding or the token that is being computed.
        """
        return self._put(partial(self._answer_one, question))

    def encode(self, frames: Sequence[Frame]) -> list[VisualTokens]:
        """Visual tokens (N, d) of each frame."""
        images = self._put(lambda _: self._encode(tuple(frames), {})).result()
        return [image.tokens for image in images]

    def check_open(self) -> None:
        """Raise ClosedError if it was closed."""
        if self._closed:
            raise ClosedError("this model is closed; load it again")

    def _put(self, work: Callable[[Callable[[], bool]], _Done]) -> Future[_Done]:
        if os.getpid() != self._process:
            raise BackendError(
                "this model was opened before the process forked, where llama.cpp cannot run; use "
                "multiprocessing's 'spawn', or load it in the new process"
            )
        with self._lock:
            self.check_open()
            done: Future[_Done] = Future()
            self._jobs.put(_Job(work, done))
            return done

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closed:
                error = ClosedError("this model was closed before it could answer")
                with suppress(InvalidStateError):
                    job.done.set_exception(error)
            else:
                job.run()
            job = None  # the frame is released before the next one is waited for
        self._vision.close()
        self._language.close()

    def _answer_one(self, question: Question, is_cancelled: Callable[[], bool]) -> Answer:
        """Results in the order of the tasks, from one encoding per frame."""
        timing_ms = {"decode": sum(frame.decoding for frame in question.frames) * 1000}
        images = self._encode(question.frames, timing_ms)
        before = dict(self._language.seconds)
        requests = [self._request(task, question, images) for task in question.tasks]
        replies = self._language.generate(requests, is_cancelled)
        for step, seconds in self._language.seconds.items():
            timing_ms[step] = (seconds - before[step]) * 1000
        size = question.frames[-1].size
        results = tuple(
            parse_reply(task, reply, size, self._spec.boxes, self._spec.scores)
            for task, reply in zip(question.tasks, replies, strict=True)
        )
        last = question.frames[-1]
        age = time.monotonic() - last.arrived + last.lag if last.arrived else 0.0
        timing_ms["age"] = age * 1000
        return Answer(results, timing_ms, tuple(replies))

    def _request(self, task: Task, question: Question, images: tuple[EncodedImage, ...]) -> Request:
        turns = (*question.history, (task, None))
        sizes = [frame.size for frame in question.frames]
        limit = max_tokens(task) if question.max_tokens is None else question.max_tokens
        return Request(
            segments=build_prompt(turns, sizes, self._spec),
            images=images,
            automaton=task_automaton(task, self._language.vocabulary, self._spec),
            max_tokens=limit,
            temperature=question.temperature,
            seed=question.seed,
            keep_logits=question.keep_logits,
        )

    def _encode(
        self, frames: Sequence[Frame], timing_ms: dict[str, float]
    ) -> tuple[EncodedImage, ...]:
        preprocessing = encoding = 0.0
        images = []
        for frame in frames:
            started = time.perf_counter()
            pixels = preprocess(frame.rgb, self._spec.vision)
            preprocessed = time.perf_counter()
            key = blake2b(pixels.tobytes(), key=self._salt[:64], digest_size=16).digest()
            image = self._encoded.pop(key, None)
            if image is None:
                tokens = self._vision.encode(pixels)[0]
                tokens.flags.writeable = False  # remembered, and handed out by `encode`
                image = EncodedImage(tokens, key)
            self._encoded[key] = image
            if len(self._encoded) > KEPT_IMAGES:
                self._encoded.popitem(last=False)
            images.append(image)
            preprocessing += preprocessed - started
            encoding += time.perf_counter() - preprocessed
        timing_ms |= {"preprocess": preprocessing * 1000, "encode": encoding * 1000}
        return tuple(images)

    def close(self) -> None:
        """Finish the question at work, refuse those that wait, free everything. Twice is fine."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if threading.current_thread() is not self._thread and os.getpid() == self._process:
            self._thread.join()
