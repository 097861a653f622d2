"""The language model: requests in, replies out; knows nothing of frames and tasks.

A request is admitted (its prompt is computed, as far as it is not known), and then its reply grows
step by step, together with all others that are at work: one `llama_decode` continues them all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.automaton import Automaton, Vocabulary
from skyeye_edge.core.choice import Choice, Pick, ReplyBuilder, choose
from skyeye_edge.core.errors import BackendError, InputError, SkyEyeError
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text, text_ids
from skyeye_edge.core.reply import Reply
from skyeye_edge.runtime.drafts import DraftBook, Drafts
from skyeye_edge.runtime.exact_shapes import ANY, exact_shapes
from skyeye_edge.runtime.libllama import (
    BATCH,
    UNKNOWN,
    ContextOptions,
    LlamaContext,
    LlamaModel,
    Logits,
    Tokens,
    has_tiny_blas,
)
from skyeye_edge.runtime.prefix_cache import ImageRun, LiveSequence, PrefixCache, Run, TokenRun
from skyeye_edge.runtime.threads import chosen_threads


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """Visual tokens of one frame, and the key that stands for their content."""

    tokens: VisualTokens  # (N, d)
    key: bytes  # equal keys, equal tokens

    def __post_init__(self) -> None:
        if not np.isfinite(self.tokens).all():
            # libllama would take them, and answer with the first token of the vocabulary for ever
            raise BackendError("the vision encoder gave values that are not finite")


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One prompt to be continued."""

    segments: tuple[Segment, ...]
    images: tuple[EncodedImage, ...] = ()
    automaton: Automaton | None = None  # None: any token may come
    max_tokens: int = 64  # forced tokens count
    temperature: float = 0.0  # 0: always the best token
    seed: int = 0
    keep_logits: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not 0 <= self.temperature < float("inf"):
            raise InputError(
                f"max_tokens {self.max_tokens}, temperature {self.temperature}: "
                "give at least 1 token and a temperature of 0 or more"
            )


class Generation:
    """A reply that is being written."""

    def __init__(
        self,
        request: Request,
        live: LiveSequence,
        logits: Logits,
        vocabulary: Vocabulary,
        limit: int,
        drafts: Drafts,
        guess: Sequence[int],
    ) -> None:
        """Begin with the logits (1 + guess, V) after the prompt that `live` holds, and a guess."""
        self.live = live
        self.reply: Reply | None = None  # once it is complete, or has failed
        self.prefill = self.generate = 0.0  # seconds
        self._drafts = drafts
        self._waiting: list[int] = []  # chosen, but not computed yet
        self._guess = guess  # computed behind them, on the chance that it is right
        self._state = request.automaton.start() if request.automaton else None
        self._builder = ReplyBuilder(vocabulary, request.keep_logits)
        self._pick = _chance(request)
        self._end, self._limit, self._vocabulary = vocabulary.end, limit, vocabulary
        self.go_on(logits)

    def next_tokens(self, room: int) -> Tokens:
        """What is to be computed next: the tokens that wait and, if there is room, guesses."""
        left = self._limit - len(self._builder.ids) - 1  # the last token is never computed
        self._guess = self._drafts.guess(self._builder.ids, min(room - len(self._waiting), left))
        ids = [*self._waiting, *self._guess]
        return Tokens(self.live.number, self.live.length, ids, 1 + len(self._guess))

    def go_on(self, logits: Logits) -> None:
        """Take the logits (1 + guess, V) of what was computed last, and choose what follows.

        Raises:
            InputError: the tokenizer has no token for what must come next.
        """
        computed = len(self._waiting)
        accepted = self._choose(logits)
        self.live.advance(computed + accepted, computed + len(self._guess))
        if self._guess:
            self._drafts.count(len(self._guess), accepted)
        if self.reply is not None:
            self._drafts.learn(self.reply.ids)

    def _choose(self, logits: Logits) -> int:
        """Choose until something must be computed that was not guessed; gives the right guesses."""
        self._waiting = []
        accepted = 0
        while self.reply is None:
            allowed = self._state.allowed() if self._state else None
            if allowed is not None and len(allowed) == 1:
                choice = Choice(int(allowed[0]))
            elif self._waiting:
                break
            else:
                choice = choose(logits[accepted], self._vocabulary, self._state, self._pick)
            self._append(choice)
            if len(self._waiting) == 1 and list(self._guess[accepted : accepted + 1]) == (
                self._waiting
            ):
                self._waiting = []
                accepted += 1
        return accepted

    def _append(self, choice: Choice) -> None:
        self._builder.note(choice)
        if choice.token == self._end:
            self.reply = self._builder.reply("end")
        elif self._builder.add(choice) == self._limit:
            self.reply = self._builder.reply("length")
        else:
            self._waiting.append(choice.token)
            self._state = self._state.advance(choice.token) if self._state else None


class LanguageModel:
    """llama.cpp with a KV memory that remembers beginnings; for one thread at a time.

    Args:
        path: the GGUF file.
        options: of the context.
        gpu: compute there.
        batch: write several replies at once, as far as that moves no bit of them.
        drafts: guess from earlier answers, as far as that moves no bit.
    """

    def __init__(
        self,
        path: Path,
        options: ContextOptions,
        *,
        gpu: bool = False,
        batch: bool = True,
        drafts: bool = True,
    ) -> None:
        self._model = LlamaModel(path, gpu=gpu)
        try:
            self._context = LlamaContext(self._model, options)
        except BaseException:
            self._model.close()
            raise
        self.cache = PrefixCache(self._context)
        self.context = options.length  # positions of a prompt and its answer
        exact = exact_shapes(self._model.file_type, tiny_blas=has_tiny_blas())
        self.batch = min(exact.sequences, options.sequences) if batch else 1
        self._rows = exact.tokens if drafts else 1  # of a step
        # Behind a prompt only if runs may have any length at all.
        self._first_guess = ANY.tokens - 1 if drafts and exact == ANY else 0
        self._drafts = DraftBook()

    def choose_threads(self, model: str, free: int, default: int) -> None:
        """Take the threads that are best on this machine; see `chosen_threads`. Before all else."""
        chosen_threads(self._context, model, free, default)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What automatons need to know of the tokenizer."""
        return Vocabulary(self._model.pieces, self._model.end, self._model.tokenise)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply to each request, in order.

        Raises:
            SkyEyeError: the first failure; the others are computed all the same.
        """
        replies: dict[int, Reply] = {}
        at_work: dict[int, Generation] = {}
        waiting = dict(enumerate(requests))
        while waiting or at_work:
            while waiting and len(at_work) < self.batch:
                number = next(iter(waiting))
                at_work[number] = self.admit(waiting.pop(number))
            self.step([each for each in at_work.values() if each.reply is None])
            replies |= {n: each.reply for n, each in at_work.items() if each.reply is not None}
            at_work = {n: each for n, each in at_work.items() if n not in replies}
        for number in sorted(replies):
            if (failure := replies[number].failure) is not None:
                raise failure
        return [replies[number] for number in sorted(replies)]

    def admit(self, request: Request) -> Generation:
        """Compute a prompt; less than `batch` replies may be at work.

        Raises:
            InputError: it does not fit the context, or does not end in text.
            BackendError: visual tokens do not fit the model, or llama.cpp failed.
        """
        started = time.perf_counter()
        prompt = self._runs(request)
        last = prompt[-1] if prompt else None
        if not isinstance(last, TokenRun):
            raise InputError("a prompt must end in text: after an image alone nothing can be said")
        length = sum(map(len, prompt))
        if length >= self.context:
            raise InputError(
                f"the prompt has {length:,} positions, the model's context {self.context:,}, and "
                "the answer needs some of them: ask a shorter question, or begin a new chat"
            )
        limit = min(request.max_tokens, self.context - length)
        drafts = self._drafts.about(last.content)
        guess = drafts.guess((), min(self._first_guess, limit - 1, BATCH - len(last)))
        live, logits = self.cache.take(prompt, guess)
        prefilled = time.perf_counter()
        try:
            generation = Generation(request, live, logits, self.vocabulary, limit, drafts, guess)
        except BaseException:
            self.cache.give_back(live, whole=False)
            raise
        generation.prefill = prefilled - started
        generation.generate = time.perf_counter() - prefilled
        self._retire_complete(generation)
        return generation

    def step(self, generations: Sequence[Generation]) -> None:
        """Continue replies by the tokens that they wait for, and by what these lead to.

        One that fails does not harm the others: its reply says why.
        """
        room = self._rows // max(1, len(generations))
        for together, parts in _of_equal_length(generations, room):
            started = time.perf_counter()
            try:
                rows = self._context.decode(parts)
            except SkyEyeError as error:
                if len(together) == 1:
                    self._fail(together[0], error)
                else:  # whose fault it is shows alone
                    for each in together:
                        self.step([each])
                continue
            for each, logits in zip(together, rows, strict=True):
                try:
                    each.go_on(logits)
                except SkyEyeError as error:
                    self._fail(each, error)
            seconds = (time.perf_counter() - started) / len(together)
            for each in together:
                each.generate += seconds
                self._retire_complete(each)

    def give_up(self, generation: Generation, *, in_doubt: bool = False) -> None:
        """End a reply that nobody waits for; `in_doubt`: a call of llama.cpp did not end."""
        self.cache.give_back(generation.live, whole=not in_doubt)

    def _fail(self, generation: Generation, error: SkyEyeError) -> None:
        generation.reply = Reply.failed(error)
        self.cache.give_back(generation.live, whole=False)

    def _retire_complete(self, generation: Generation) -> None:
        """Of a complete reply, free the sequence; its beginning stays known."""
        reply = generation.reply
        if reply is not None and reply.failure is None:
            generation.reply = replace(
                reply, prefill=generation.prefill, generate=generation.generate
            )
            self.cache.give_back(generation.live, whole=True)

    def _runs(self, request: Request) -> list[Run]:
        """The prompt as runs: images, and the tokens between them up to the next turn."""
        runs: list[Run] = []
        tokens: list[int] = []
        for segment in request.segments:
            match segment:
                case Text():
                    tokens += text_ids(segment, self._model.tokenise)
                case Control(token="bos"):
                    if set(tokens) - {self._model.bos}:  # a turn ends here
                        runs.append(TokenRun(tuple(tokens)))
                        tokens = []
                    tokens.append(self._model.bos)
                case Control(token="end"):
                    runs.append(TokenRun((*tokens, self._model.end)))  # so does one here
                    tokens = []
                case Control():
                    tokens.append(UNKNOWN)
                case ImageSlot(index=index):
                    image = request.images[index]
                    runs += [TokenRun(tuple(tokens)), ImageRun(image.key, image.tokens)]
                    tokens = []
        return [run for run in (*runs, TokenRun(tuple(tokens))) if len(run)]

    def close(self) -> None:
        """Free context and weights, in this order. Closing twice is fine."""
        self._context.close()
        self._model.close()


def _of_equal_length(
    generations: Sequence[Generation], room: int
) -> list[tuple[list[Generation], list[Tokens]]]:
    """Calls of llama.cpp that continue them all, each in order of sequences; see its `decode`."""
    calls: dict[int, tuple[list[Generation], list[Tokens]]] = {}
    for each in sorted(generations, key=lambda each: each.live.number):
        part = each.next_tokens(room)
        together, parts = calls.setdefault(len(part.ids), ([], []))
        together.append(each)
        parts.append(part)
    return list(calls.values())


def _chance(request: Request) -> Pick | None:
    """What picks tokens by chance at the request's temperature; None: always the best."""
    if not request.temperature:
        return None
    random = np.random.default_rng(request.seed)

    def pick(logits: npt.NDArray[np.float32]) -> int:
        chances = np.exp((logits - logits.max()) / request.temperature).astype(np.float64)
        return int(random.choice(len(chances), p=chances / chances.sum()))

    return pick
