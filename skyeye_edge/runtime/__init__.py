"""From frames to events: the bundle, ONNX Runtime and llama.cpp over images and video.

Its public names; the modules behind them are private. Fetched on first use, so that importing this
package loads none of the heavy libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyeye_edge.runtime.alerts import Alert
    from skyeye_edge.runtime.chat import Chat
    from skyeye_edge.runtime.detections import to_detections
    from skyeye_edge.runtime.libllama import quantise_gguf
    from skyeye_edge.runtime.machine import versions
    from skyeye_edge.runtime.model import Model, load
    from skyeye_edge.runtime.question import Answer, Question
    from skyeye_edge.runtime.sources.file import FileSource
    from skyeye_edge.runtime.sources.push import Push
    from skyeye_edge.runtime.stream import Stream

_HOMES = {
    "Alert": "alerts",
    "Answer": "question",
    "Chat": "chat",
    "FileSource": "sources.file",
    "Model": "model",
    "Push": "sources.push",
    "Question": "question",
    "Stream": "stream",
    "load": "model",
    "quantise_gguf": "libllama",
    "to_detections": "detections",
    "versions": "machine",
}

__all__ = [
    "Alert",
    "Answer",
    "Chat",
    "FileSource",
    "Model",
    "Push",
    "Question",
    "Stream",
    "load",
    "quantise_gguf",
    "to_detections",
    "versions",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
