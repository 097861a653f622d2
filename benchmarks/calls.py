"""Counting and timing the two calls that do all arithmetic: `session.run` and `llama_decode`."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import llama_cpp
import onnxruntime


@dataclass
class Calls:
    """What was called since the last `clear`, from any thread."""

    number: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Begin anew."""
        self.number = {"encode": 0, "decode": 0}
        self.seconds = {"encode": 0.0, "decode": 0.0}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                passed = time.perf_counter() - started
                with self._lock:
                    self.number[name] += 1
                    self.seconds[name] += passed

        return call


def count_calls() -> Calls:
    """Count all calls of this process from now on; before a model is opened."""
    calls = Calls()
    calls.clear()
    llama_cpp.llama_decode = calls.timed("decode", llama_cpp.llama_decode)
    onnxruntime.InferenceSession.run = calls.timed("encode", onnxruntime.InferenceSession.run)
    return calls
