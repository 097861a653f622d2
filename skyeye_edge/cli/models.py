"""A folder that may be either: a bundle for the runtime, or a checkpoint for PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.core.errors import InputError

if TYPE_CHECKING:
    from skyeye_edge.core.results import TaskResult
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.evaluation import ClipPredictor, Pictures

CHECKPOINT = "skyeye.json"  # what only a checkpoint has


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that can be asked."""

    name: str  # for the report; another model has another one
    predictor: ClipPredictor
    frames: int  # that it takes of a clip; 0: any number


@contextmanager
def open_model(folder: Path | None) -> Iterator[Opened]:
    """A bundle in the runtime, or a checkpoint in PyTorch; closed at the end.

    Raises:
        InputError: the folder is neither.
    """
    from skyeye_edge.core.manifest import MANIFEST_NAME

    if folder is not None and (folder / CHECKPOINT).exists():
        from skyeye_edge.training import CheckpointPredictor

        name = f"{folder.absolute().name} (checkpoint {digest(folder)}, PyTorch)"
        checkpoint = CheckpointPredictor(folder)
        yield Opened(name, checkpoint, checkpoint.spec.frames)
        return
    if folder is not None and not (folder / MANIFEST_NAME).exists():
        raise InputError(
            f"{folder}: neither a bundle ({MANIFEST_NAME}) nor a checkpoint ({CHECKPOINT})"
        )
    from skyeye_edge.runtime import load

    with load(folder) as model:

        class Runtime:
            """Names of parameters differ, nothing else."""

            def run(self, image: Pictures, tasks: Sequence[Task], /) -> Sequence[TaskResult]:
                return model.run(image, list(tasks))

        bundle = model.bundle
        name = f"{bundle.manifest.name} (bundle {bundle.sha256[:12]})"
        yield Opened(name, Runtime(), model.spec.frames)


def digest(folder: Path) -> str:
    """What tells a checkpoint from another of its name: its description, and its aligner."""
    import hashlib

    found = hashlib.sha256((folder / CHECKPOINT).read_bytes())
    for file in sorted(folder.rglob("*.safetensors")):
        found.update(f"{file.relative_to(folder)} {file.stat().st_size}".encode())
    aligner = folder / "aligner.safetensors"  # every training changes it
    found.update(aligner.read_bytes() if aligner.exists() else b"")
    return found.hexdigest()[:12]
