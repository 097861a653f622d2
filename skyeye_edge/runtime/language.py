"""The language model: requests in, replies out; knows nothing of frames and tasks.

Requests are answered one after the other; what their prompts share is computed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.automaton import Automaton, Vocabulary
from skyeye_edge.core.choice import Choice, Draft, Pick, choose
from skyeye_edge.core.errors import BackendError, InputError
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text, text_ids
from skyeye_edge.core.reply import Reply
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
            reply = self._continue(live, logits, request, is_cancelled, limit)
        self.seconds["prefill"] += prefilled - started
        self.seconds["generate"] += time.perf_counter() - prefilled
        return reply

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

    def _continue(
        self,
        live: LiveSequence,
        logits: Logits,
        request: Request,
        is_cancelled: Callable[[], bool],
        limit: int,
    ) -> Reply:
        """Token after token; under an automaton, runs of forced ones are computed in one go."""
        state = request.automaton.start() if request.automaton else None
        draft = Draft(self.vocabulary, request.keep_logits)
        pick = _chance(request)
        waiting: list[int] = []  # chosen, but not computed yet
        while True:
            allowed = state.allowed() if state else None
            if allowed is not None and len(allowed) == 1:
                choice = Choice(int(allowed[0]))
            else:
                if is_cancelled():
                    raise CancelledError
                if waiting:
                    one = len(waiting) == 1  # the usual case has a quick way
                    logits = live.append_token(*waiting) if one else live.append_tokens(waiting)
                    waiting = []
                choice = choose(logits, self.vocabulary, state, pick)
            draft.note(choice)
            if choice.token == self._model.end:
                return draft.reply("end")
            if draft.add(choice) == limit:
                return draft.reply("length")
            waiting.append(choice.token)
            state = state.advance(choice.token) if state else None

    def close(self) -> None:
        """Free context and weights, in this order. Closing twice is fine."""
        self._context.close()
        self._model.close()


def _chance(request: Request) -> Pick | None:
    """What picks tokens by chance at the request's temperature; None: always the best."""
    if not request.temperature:
        return None
    random = np.random.default_rng(request.seed)

    def pick(logits: npt.NDArray[np.float32]) -> int:
        chances = np.exp((logits - logits.max()) / request.temperature).astype(np.float64)
        return int(random.choice(len(chances), p=chances / chances.sum()))

    return pick
