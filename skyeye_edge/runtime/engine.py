"""Questions in, answers out: vision and language side by side.

    submit -> fair queue -> vision stage -> a few at most -> language stage -> Future

A thread each: while language answers about one frame, vision prepares the next.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from queue import Queue

from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import BackendError, ClosedError, InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.runtime.fair_queue import FairQueue
from skyeye_edge.runtime.language import LanguageModel
from skyeye_edge.runtime.language_stage import LanguageStage
from skyeye_edge.runtime.question import Answer, Job, Question
from skyeye_edge.runtime.vision.encoder import VisionEncoder
from skyeye_edge.runtime.vision_stage import VisionStage

WAITING = 256  # questions that may wait, each with its frames
PATIENCE = 1.0  # seconds that what is being answered gets when the engine is closed
AHEAD = 2  # questions that are encoded before language has time for them


class Engine:
    """Vision and language behind a queue; safe to ask from many threads.

    Args:
        vision: the encoder; closed by the engine, as is `language`.
        language: the language model.
        spec: what the bundle says of both.
        vision_sha256: of the encoder's file; part of the keys of what is remembered.
        overlap: encode while language answers; False: one question after the other.
        remember_bytes: of visual tokens that are kept in case they are asked about again.
    """

    def __init__(
        self,
        vision: VisionEncoder,
        language: LanguageModel,
        spec: ModelSpec,
        vision_sha256: str,
        *,
        overlap: bool = True,
        remember_bytes: int = 0,
    ) -> None:
        self._waiting: FairQueue[Job] = FairQueue(WAITING)
        encoded: Queue[Job | None] = Queue(AHEAD)
        self._vision = VisionStage(
            vision, spec.vision, vision_sha256, self._waiting, encoded, remember_bytes
        )
        self._language = LanguageStage(language, spec, encoded)
        self._vision.one_by_one = not overlap
        self._lock = threading.Lock()  # nothing is queued behind the end
        self._closed = False
        self._process = os.getpid()
        self._threads = [
            threading.Thread(target=stage.run, name=f"skyeye-{name}", daemon=True)
            for name, stage in (("vision", self._vision), ("language", self._language))
        ]
        for thread in self._threads:
            thread.start()

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """An answer to each question, in order; waits for them.

        Raises:
            ClosedError: the engine was closed, before or meanwhile.
            SkyEyeError: the first question or task that failed; the others are answered all the
                same.
        """
        waiting = [self.submit(question) for question in questions]
        answers = [answer.result() for answer in waiting]
        for reply in (reply for answer in answers for reply in answer.replies):
            if reply.failure is not None:
                raise reply.failure
        return answers

    def submit(
        self,
        question: Question,
        *,
        client: Hashable | None = None,
        priority: float = 1.0,
        deadline: float | None = None,
    ) -> Future[Answer]:
        """The answer to come. A task that cannot be asked has the outcome "failed" in it.

        Cancelled, it is given up after the encoding or the token that is being computed.

        Args:
            question: what is asked.
            client: who asks; clients take turns, however much each of them asks. None: the thread.
            priority: of this client's turns; at 2 it gets twice as many as others at 1.
            deadline: monotonic seconds; if its turn comes later it fails, and costs nothing.

        Raises:
            ClosedError: the engine was closed before.
            BusyError: too many questions wait.
        """
        check_number(priority, "priority", 0)
        if priority == 0:
            raise InputError("priority 0: it must be more than 0")
        job: Job = Job(question.frames, Future(), question, deadline)
        cost = max(1, len(question.tasks)) / priority
        self._put(job, threading.get_ident() if client is None else client, cost)
        return job.done

    def encode(self, frames: Sequence[Frame]) -> list[VisualTokens]:
        """Visual tokens (N, d) of each frame."""
        job: Job = Job(tuple(frames), Future())
        self._put(job, threading.get_ident(), 1.0)
        tokens: list[VisualTokens] = job.done.result()
        return tokens

    def check_open(self) -> None:
        """Raise ClosedError if it was closed."""
        if self._closed:
            raise ClosedError("this model is closed; load it again")

    def _put(self, job: Job, client: Hashable, cost: float) -> None:
        if os.getpid() != self._process:
            raise BackendError(
                "this model was opened before the process forked, where llama.cpp cannot run; use "
                "multiprocessing's 'spawn', or load it in the new process"
            )
        with self._lock:
            self.check_open()
            self._waiting.put(job, client, cost)

    def close(self) -> None:
        """Refuse the questions that wait, free everything. Twice is fine.

        What is being answered gets a second to become complete.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._vision.closing = True
                self._language.end_by = time.monotonic() + PATIENCE
                self._waiting.close()
        if os.getpid() == self._process:
            for thread in self._threads:
                if threading.current_thread() is not thread:
                    thread.join()
