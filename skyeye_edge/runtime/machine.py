"""What the runtime stands on: versions, and facts about this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "llama-cpp-python", "av",
    "opencv-python", "opencv-python-headless",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Installed versions of Python and of what the runtime uses; what is missing is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
