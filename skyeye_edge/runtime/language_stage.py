"""The engine's second half: visual tokens and tasks to answers."""

from __future__ import annotations

import time
from collections import deque
from queue import Empty, Queue

from skyeye_edge.core.automaton import task_automaton
from skyeye_edge.core.errors import ClosedError, InputError
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Task, is_in_words, max_tokens
from skyeye_edge.runtime.language import Generation, LanguageModel, Request
from skyeye_edge.runtime.question import Answer, Job


class LanguageStage:
    """Admits the tasks of jobs, continues all that are at work together, and retires them."""

    def __init__(
        self, language: LanguageModel, spec: ModelSpec, encoded: Queue[Job | None]
    ) -> None:
        self.end_by = float("inf")  # monotonic seconds; what is not answered then is given up
        self._language, self._spec, self._encoded = language, spec, encoded
        self._ahead: deque[tuple[Job, int]] = deque()  # tasks of jobs, not admitted yet
        self._at_work: list[tuple[Job, int, Generation]] = []
        self._ended = False

    def run(self) -> None:
        """Work until `None` has come and everything is answered."""
        while not self._ended or self._at_work or self._ahead:
            self._admit()
            if time.monotonic() > self.end_by:
                self._refuse()
            self._drop_unwanted()
            self._step()
            self._retire()
        self._language.close()

    def _admit(self) -> None:
        """Begin replies until as many are at work as may be; waits if there is nothing to do."""
        while len(self._at_work) < self._language.batch:
            if not self._ahead and not self._take_job():
                return
            if self._ahead:
                self._begin(*self._ahead.popleft())

    def _take_job(self) -> bool:
        """Queue the tasks of the next job; False if there is none."""
        if self._ended:
            return False
        try:
            job = self._encoded.get(block=not self._at_work)
        except Empty:
            return False
        if job is None:
            self._ended = True
            return False
        if not job.is_wanted():
            return True
        assert job.question is not None
        self._ahead.extend((job, number) for number in range(len(job.question.tasks)))
        if not job.question.tasks:
            self._finish(job)
        return True

    def _begin(self, job: Job, number: int) -> None:
        if job.done.done():  # cancelled, or another of its tasks failed
            return
        assert job.question is not None
        try:
            generation = self._language.admit(self._request(job, job.question.tasks[number]))
        except InputError as error:  # this task cannot be asked; its neighbours can
            self._reply(job, number, Reply.failed(error))
        except BaseException as error:  # handed over: the thread must outlive any question
            job.fail(error)
        else:
            self._at_work.append((job, number, generation))

    def _refuse(self) -> None:
        error = ClosedError("this model was closed before it could answer")
        for job in [each[0] for each in self._at_work] + [each[0] for each in self._ahead]:
            job.fail(error)

    def _drop_unwanted(self) -> None:
        for job, _, generation in self._at_work:
            if job.done.done() and generation.reply is None:
                self._language.give_up(generation)
        self._at_work = [each for each in self._at_work if not each[0].done.done()]

    def _step(self) -> None:
        unfinished = [each for *_, each in self._at_work if each.reply is None]
        try:
            self._language.step(unfinished)
        except BaseException as error:  # handed over: the thread must outlive any question
            for job, _, generation in self._at_work:
                job.fail(error)
                if generation.reply is None:
                    self._language.give_up(generation, in_doubt=True)
            self._at_work = []

    def _retire(self) -> None:
        ready = [each for each in self._at_work if each[2].reply is not None]
        self._at_work = [each for each in self._at_work if each[2].reply is None]
        for job, number, generation in ready:
            assert generation.reply is not None
            self._reply(job, number, generation.reply)

    def _reply(self, job: Job, number: int, reply: Reply) -> None:
        assert job.question is not None
        job.replies[number] = reply
        if reply.failure is not None and not isinstance(reply.failure, InputError):
            job.fail(reply.failure)
        elif len(job.replies) == len(job.question.tasks):
            self._finish(job)

    def _finish(self, job: Job) -> None:
        try:
            job.finish(self._answer(job))
        except BaseException as error:
            job.fail(error)

    def _request(self, job: Job, task: Task) -> Request:
        question = job.question
        assert question is not None
        turns = (*question.history, (task, None))
        sizes = [frame.size for frame in question.frames]
        limit = max_tokens(task) if question.max_tokens is None else question.max_tokens
        if question.words is not None and is_in_words(task):
            limit = min(limit, question.words)
        return Request(
            segments=build_prompt(turns, sizes, self._spec),
            images=job.images,
            automaton=task_automaton(task, self._language.vocabulary, self._spec),
            max_tokens=limit,
            temperature=question.temperature,
            seed=question.seed,
            keep_logits=question.keep_logits,
        )

    def _answer(self, job: Job) -> Answer:
        """Results in the order of the tasks."""
        question = job.question
        assert question is not None
        replies = tuple(job.replies[number] for number in range(len(question.tasks)))
        last = question.frames[-1]
        results = tuple(
            parse_reply(task, reply, last.size, self._spec.boxes, self._spec.scores)
            for task, reply in zip(question.tasks, replies, strict=True)
        )
        age = time.monotonic() - last.arrived + last.lag if last.arrived else 0.0
        timing_ms = {
            "decode": sum(frame.decoding for frame in question.frames) * 1000,
            **job.timing_ms,
            "prefill": sum(reply.prefill for reply in replies) * 1000,
            "generate": sum(reply.generate for reply in replies) * 1000,
            "age": age * 1000,
        }
        return Answer(results, timing_ms, replies)
