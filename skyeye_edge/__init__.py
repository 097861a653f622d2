"""Captions, boxes and answers from drone video, on the machine at the flight line.

Importing this package loads nothing heavy. The public names below are fetched from the module
that defines them on first use (PEP 562), so `import skyeye_edge` takes a few milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyeye_edge._version import __version__

if TYPE_CHECKING:
    from skyeye_edge.core.boxes import Box
    from skyeye_edge.core.bundle import Bundle, open_bundle
    from skyeye_edge.core.coco import to_coco
    from skyeye_edge.core.errors import (
        BackendError,
        BundleError,
        CheckpointError,
        ClosedError,
        DataError,
        InputError,
        MediaError,
        MissingExtraError,
        OutputError,
        ParityError,
        SkyEyeError,
    )
    from skyeye_edge.core.events import AnswerEvent, Event, StateEvent, SummaryEvent, parse_event
    from skyeye_edge.core.frame import Frame
    from skyeye_edge.core.results import (
        ClassifyResult,
        DetectResult,
        GroundResult,
        TaskResult,
        TextResult,
    )
    from skyeye_edge.core.tasks import (
        Ask,
        Caption,
        Classify,
        Describe,
        Detect,
        Ground,
        Identify,
        Task,
    )
    from skyeye_edge.runtime import Model, Push, load

_HOMES = {
    "skyeye_edge.core.boxes": ("Box",),
    "skyeye_edge.core.bundle": ("Bundle", "open_bundle"),
    "skyeye_edge.core.coco": ("to_coco",),
    "skyeye_edge.core.errors": (
        "BackendError",
        "BundleError",
        "CheckpointError",
        "ClosedError",
        "DataError",
        "InputError",
        "MediaError",
        "MissingExtraError",
        "OutputError",
        "ParityError",
        "SkyEyeError",
    ),
    "skyeye_edge.core.events": (
        "AnswerEvent",
        "Event",
        "StateEvent",
        "SummaryEvent",
        "parse_event",
    ),
    "skyeye_edge.core.frame": ("Frame",),
    "skyeye_edge.core.results": (
        "ClassifyResult",
        "DetectResult",
        "GroundResult",
        "TaskResult",
        "TextResult",
    ),
    "skyeye_edge.core.tasks": (
        "Ask",
        "Caption",
        "Classify",
        "Describe",
        "Detect",
        "Ground",
        "Identify",
        "Task",
    ),
    "skyeye_edge.runtime": ("Model", "Push", "load"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AnswerEvent",
    "Ask",
    "BackendError",
    "Box",
    "Bundle",
    "BundleError",
    "Caption",
    "CheckpointError",
    "Classify",
    "ClassifyResult",
    "ClosedError",
    "DataError",
    "Describe",
    "Detect",
    "DetectResult",
    "Event",
    "Frame",
    "Ground",
    "GroundResult",
    "Identify",
    "InputError",
    "MediaError",
    "MissingExtraError",
    "Model",
    "OutputError",
    "ParityError",
    "Push",
    "SkyEyeError",
    "StateEvent",
    "SummaryEvent",
    "Task",
    "TaskResult",
    "TextResult",
    "__version__",
    "load",
    "open_bundle",
    "parse_event",
    "to_coco",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
