"""The language model: requests in, replies out; knows nothing of frames and tasks.

Requests are answered one after the other; what their prompts share is computed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.automaton import Automaton, State, Vocabulary
from skyeye_edge.core.errors import BackendError, InputError
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text
from skyeye_edge.core.reply import Reply, Stopped
from skyeye_edge.runtime.libllama import (
    UNKNOWN,
    ContextOptions,
    LlamaContext,
    LlamaModel,
    Logits,
)
from skyeye_edge.runtime.prefix_cache import ImageRun, LiveSequence, PrefixCache, Run, TokenRun


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


@dataclass(slots=True)
class _Answer:
    """A reply under construction."""

    keep_logits: bool
    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    free: list[bool] = field(default_factory=list)
    logits: list[npt.NDArray[np.float32] | None] = field(default_factory=list)

    def add(self, token: int, probability: float, free: bool) -> None:
        self.ids.append(token)
        self.probabilities.append(probability)
        self.free.append(free)

    def keep(
        self, logits: npt.NDArray[np.float32] | None, allowed: npt.NDArray[np.int64] | None
    ) -> None:
        if not self.keep_logits:
            return
        if logits is None or allowed is None:
            self.logits.append(None if logits is None else logits.copy())
            return
        kept = np.full_like(logits, -np.inf)
        kept[allowed] = logits[allowed]
        self.logits.append(kept)


class LanguageModel:
    """llama.cpp with a KV memory that remembers beginnings; for one thread at a time."""

    def __init__(self, path: Path, options: ContextOptions, *, gpu: bool = False) -> None:
        self._model = LlamaModel(path, gpu=gpu)
        try:
            self._context = LlamaContext(self._model, options)
        except BaseException:
            self._model.close()
            raise
        self.cache = PrefixCache(self._context)
        self.context = options.length  # positions of a prompt and its answer
        self.seconds = {"prefill": 0.0, "generate": 0.0}  # spent since it was opened

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What automatons need to know of the tokenizer."""
        return Vocabulary(self._model.pieces, self._model.end, self._model.tokenise)

    def generate(
        self, requests: Sequence[Request], is_cancelled: Callable[[], bool] = lambda: False
    ) -> list[Reply]:
        """A reply to each request, in order.

        Args:
            requests: the prompts.
            is_cancelled: asked before every token; True gives all of them up.

        Raises:
            CancelledError: `is_cancelled` said so.
            InputError: a prompt does not fit the context.
            BackendError: visual tokens do not fit the model, or llama.cpp failed.
        """
        return [self._answer(request, is_cancelled) for request in requests]

    def _answer(self, request: Request, is_cancelled: Callable[[], bool]) -> Reply:
        started = time.perf_counter()
        prompt = self._runs(request)
        length = sum(map(len, prompt))
        if length >= self.context:
            raise InputError(
                f"the prompt has {length:,} positions, the model's context {self.context:,}, and "
                "the answer needs some of them: ask a shorter question, or begin a new chat"
            )
        limit = min(request.max_tokens, self.context - length)
        with self.cache.sequence(prompt) as (live, logits):
            prefilled = time.perf_counter()
            choose = _Chooser(request, is_cancelled)
            reply = self._continue(live, logits, request, choose, limit)
        self.seconds["prefill"] += prefilled - started
        self.seconds["generate"] += time.perf_counter() - prefilled
        return reply

    def _runs(self, request: Request) -> list[Run]:
        """The prompt as runs: images, and the tokens between them up to the next turn."""
        runs: list[Run] = []
        tokens: list[int] = []
        for segment in request.segments:
            match segment:
                case Text(text=text):
                    tokens += self._model.tokenise(text)
                case Control(token="bos"):
                    if set(tokens) - {self._model.bos}:  # a turn ends here
                        runs.append(TokenRun(tuple(tokens)))
                        tokens = []
                    tokens.append(self._model.bos)
                case Control(token="end"):
                    tokens.append(self._model.end)
                case Control():
                    tokens.append(UNKNOWN)
                case ImageSlot(index=index):
                    image = request.images[index]
                    runs += [TokenRun(tuple(tokens)), ImageRun(image.key, image.tokens)]
                    tokens = []
        return [run for run in (*runs, TokenRun(tuple(tokens))) if len(run)]

    def _continue(
        self, live: LiveSequence, logits: Logits, request: Request, choose: _Chooser, limit: int
    ) -> Reply:
        if request.automaton is not None:
            start = request.automaton.start()
            return self._constrained(live, logits, request, choose, start, limit)
        answer = _Answer(request.keep_logits)
        while True:
            token, probability = choose(logits)
            answer.keep(logits, None)
            if token == self._model.end:
                return self._reply(answer, "end")
            answer.add(token, probability, True)
            if len(answer.ids) == limit:
                return self._reply(answer, "length")
            logits = live.append_token(token)

    def _constrained(
        self,
        live: LiveSequence,
        logits: Logits,
        request: Request,
        choose: _Chooser,
        state: State,
        limit: int,
    ) -> Reply:
        """As above under an automaton; runs of forced tokens are computed in one go."""
        answer = _Answer(request.keep_logits)
        waiting: list[int] = []  # chosen, but not computed yet
        while True:
            allowed = state.allowed()
            forced = len(allowed) == 1
            if not forced and waiting:
                logits = live.append_tokens(waiting)
                waiting = []
            if forced:
                token, probability = int(allowed[0]), 1.0
                answer.keep(None, None)
            else:
                index, probability = choose(logits[allowed])
                token = int(allowed[index])
                answer.keep(logits, allowed)
            if token == self._model.end:
                return self._reply(answer, "end")
            answer.add(token, probability, not forced)
            if len(answer.ids) == limit:
                return self._reply(answer, "length")
            waiting.append(token)
            state = state.advance(token)

    def _reply(self, answer: _Answer, stopped: Stopped) -> Reply:
        pieces = self._model.pieces
        return Reply(
            ids=tuple(answer.ids),
            pieces=tuple(pieces[token] or b"" for token in answer.ids),
            probabilities=tuple(answer.probabilities),
            free=tuple(answer.free),
            stopped=stopped,
            logits=tuple(answer.logits) if answer.keep_logits else None,
        )

    def close(self) -> None:
        """Free context and weights, in this order. Closing twice is fine."""
        self._context.close()
        self._model.close()


class _Chooser:
    """Picks a token while somebody waits for it: the best one, or with a temperature by chance."""

    def __init__(self, request: Request, is_cancelled: Callable[[], bool]) -> None:
        self._is_cancelled = is_cancelled
        self._temperature = request.temperature
        self._chance = np.random.default_rng(request.seed) if request.temperature > 0 else None

    def __call__(self, logits: npt.NDArray[np.float32]) -> tuple[int, float]:
        """Index into `logits`, and its probability (at temperature 1, whatever chose it)."""
        if self._is_cancelled():
            raise CancelledError
        best = int(logits.argmax())
        weights = np.exp(logits - logits[best])
        if self._chance is None:
            return best, float(1.0 / weights.sum())
        chances = np.exp((logits - logits[best]) / self._temperature).astype(np.float64)
        index = int(self._chance.choice(len(chances), p=chances / chances.sum()))
        return index, float(weights[index] / weights.sum())
