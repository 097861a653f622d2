"""What the runtime stands on: versions, and facts about this machine."""

from __future__ import annotations

import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # as a container sees its own

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
    """CPU cores that this process may use, at least 1: those of its mask, within its quota."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.floor(min(allowed, quota(CGROUP))))


def processor() -> str:
    """What the kernel calls the processor; what Python calls it where the kernel does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = ("model name", "Hardware", "CPU part")  # the latter two on ARM
    told = {line.split(":", 1)[1].strip() for line in lines if line.startswith(names)}
    return ", ".join(sorted(told)) or platform.processor() or platform.machine()


def quota(cgroup: Path) -> float:
    """Cores' worth of time that a container may spend (`docker run --cpus`); inf: no limit.

    Its threads may run on any core, so their mask does not show it.
    """
    try:
        if (file := cgroup / "cpu.max").is_file():  # cgroup 2
            granted, period = file.read_text().split()
        else:
            granted = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        cores_worth = float(granted) / float(period)  # "max" and -1 are no limit
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
    return cores_worth if cores_worth > 0 else math.inf
