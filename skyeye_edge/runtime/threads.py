"""How many threads llama.cpp gets: measured once for a machine and a model, then remembered."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from statistics import fmean

from skyeye_edge.core.bundle import cache_folder
from skyeye_edge.runtime.libllama import UNKNOWN, LlamaContext, Threads, Tokens, cpu_features
from skyeye_edge.runtime.machine import cores, processor, versions

LIMIT = 2.0  # seconds that the rounds may take together
SMALL_LIMIT = 0.4  # of a model with quick tokens
SMALL_TOKEN = 0.005  # seconds with one thread
SLOW_TOKEN = 0.15  # seconds with one thread; of a slower model even one round takes too long
SMALL_GGUF = 32 * 2**20  # bytes
CLEARLY = 1.2  # times as fast: more threads suffer more from any other busy process
_LOST = 2  # times as slow with a prompt; with single tokens it is worse
_ROUNDS = 5
_FEW, _PROMPT = 4, 64  # tokens of a round
_SHORTEST = 16  # of a prompt that still is one
_PROMPT_SECONDS = 0.2  # with one thread, about

Clock = Callable[[], float]
Times = dict[int, list[float]]  # seconds by number of threads, one of each round


@dataclass(frozen=True, slots=True)
class Choice:
    """Threads, and what spoke for them."""

    threads: Threads
    reason: str


def free_cores(gguf_bytes: int, *, overlap: bool) -> int:
    """Cores for the language model: a small one leaves one to the frame that is encoded meanwhile.

    A large one is what everything waits for. On two cores, five tasks about a frame took 1.26 times
    as long with SmolLM2-135M (90 MB) where a core was kept.
    """
    return max(1, cores() - (overlap and gguf_bytes < SMALL_GGUF))


def remembered_choice(model: str, free: int) -> Choice | None:
    """What `chosen_threads` takes without measuring, if it can."""
    if free == 1:
        return Choice(Threads(1, 1), "no second core is free for it")
    return _read(_note(model, free), free)


def chosen_threads(context: LlamaContext, model: str, free: int, default: int) -> Choice:
    """Give a context the threads that are best here: remembered, else measured and remembered.

    Args:
        context: of the model, empty; it is left empty.
        model: whatever stands for its content.
        free: cores that it may take.
        default: threads for both where the model is too slow to be measured.
    """
    choice = remembered_choice(model, free)
    if choice is None:
        choice = measured_threads(context, free, default)
        _write(_note(model, free), choice)
    context.set_threads(choice.threads)
    return choice


def measured_threads(
    context: LlamaContext, free: int, default: int, clock: Clock = time.perf_counter
) -> Choice:
    """The fewest threads than which no other number, up to `free`, is clearly faster.

    All numbers are tried in turn, several times over: on a busy machine the best of several times
    is near the truth. More threads must win by that, and on average as well.
    """
    context.set_threads(Threads(1, 1))
    _generate(context, clock)  # reads the weights from the disk
    token = _generate(context, clock) / _FEW
    if token > SLOW_TOKEN:
        reason = f"{token * 1000:.0f} ms a token with one thread: too slow to try others"
        return Choice(Threads(default, default), reason)
    prompt = int(min(_PROMPT, max(_SHORTEST, _PROMPT_SECONDS / token), context.options.length))
    limit = LIMIT if token > SMALL_TOKEN else SMALL_LIMIT
    numbers = _numbers(free)
    few: Times = {number: [] for number in numbers}
    many: Times = {number: [] for number in numbers}
    started = clock()
    for done in range(1, _ROUNDS + 1):
        for number in tuple(numbers):
            context.set_threads(Threads(number, number))
            many[number].append(_prefill(context, prompt, clock))
            if number > 1 and many[number][-1] > _LOST * min(many[1]):
                # beside a busy process, threads that wait for each other take seconds
                numbers.remove(number)
            else:
                few[number].append(_generate(context, clock) / _FEW)
        if (clock() - started) * (done + 1) / done > limit:
            break
    threads = Threads(fastest(few), fastest(many))
    return Choice(threads, f"{_told(few)} a token; {_told(many)} for {prompt} tokens of a prompt")


def _numbers(free: int) -> list[int]:
    """1, 2, 4 and so on, all cores but one, and all."""
    powers = {2**power for power in range(free.bit_length())}
    return sorted(number for number in powers | {free - 1, free} if 1 <= number <= free)


def _generate(context: LlamaContext, clock: Clock) -> float:
    """Seconds for a few single tokens."""
    started = clock()
    for position in range(_FEW):
        context.decode([Tokens(0, position, [UNKNOWN])])
    taken = clock() - started
    context.remove(0)
    return taken


def _prefill(context: LlamaContext, length: int, clock: Clock) -> float:
    """Seconds for a prompt."""
    started = clock()
    context.decode([Tokens(0, 0, [UNKNOWN] * length)])
    taken = clock() - started
    context.remove(0)
    return taken


def fastest(times: Times) -> int:
    """The number that is clearly faster than all smaller ones, at its best and on average."""
    best = min(times)
    for number in sorted(number for number, taken in times.items() if taken):
        faster = min(times[number]) * CLEARLY < min(times[best])
        if faster and fmean(times[number]) < fmean(times[best]):
            best = number
    return best


def _told(times: Times) -> str:
    each = (f"{min(taken) * 1000:.2f} ms with {number}" for number, taken in times.items() if taken)
    return ", ".join(each)


def _note(model: str, free: int) -> Path:
    """Where the choice for a model is kept, apart for all that may change it."""
    llama = versions().get("llama-cpp-python")
    facts = (platform.node(), processor(), free, cpu_features(), llama, model)
    name = blake2b(repr(facts).encode("utf-8", "replace"), digest_size=16).hexdigest()
    return cache_folder() / "threads" / f"{name}.json"


def _read(note: Path, free: int) -> Choice | None:
    """A choice that was kept; None where there is none, or nothing that can be used."""
    try:
        found = json.loads(note.read_text("utf-8"))
        threads = Threads(int(found["generate"]), int(found["prefill"]))
        reason = str(found["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(1 <= number <= free for number in (threads.generate, threads.prefill)):
        return None
    return Choice(threads, reason)


def _write(note: Path, choice: Choice) -> None:
    draft = note.with_name(f"{note.name}.{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(choice.threads) | {"reason": choice.reason}), "utf-8")
        draft.replace(note)
    except OSError:
        return  # a home that cannot be written only costs the time to measure again
