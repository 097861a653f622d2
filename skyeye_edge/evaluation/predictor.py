"""What can be evaluated: anything that answers tasks about an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.results import TaskResult
from skyeye_edge.core.tasks import Task

Picture = Path | npt.NDArray[np.uint8]  # a file, or (H, W, 3) uint8 RGB
Pictures = Picture | Sequence[Picture]  # one image, or the frames of a clip


class Predictor(Protocol):
    """A bundle in the runtime, or a checkpoint in PyTorch."""

    def run(self, image: Picture, tasks: Sequence[Task], /) -> Sequence[TaskResult]:
        """One result per task, in order."""


class ClipPredictor(Protocol):
    """The same about clips too."""

    def run(self, image: Pictures, tasks: Sequence[Task], /) -> Sequence[TaskResult]:
        """One result per task, in order."""
