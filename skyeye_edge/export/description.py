"""What a bundle says about itself: the manifest of an export folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.manifest import MANIFEST_NAME, FileEntry, Manifest
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.export.language import language_file_name
from skyeye_edge.export.vision import ONE_BY_ONE, vision_file_name
from skyeye_edge.training.model.llama import read_sizes

if TYPE_CHECKING:
    from skyeye_edge.training.model.checkpoint import CheckpointInfo

VISION_DEFAULT = {"cpu": "int8", "cuda": "fp16", "tensorrt": "fp16"}
LANGUAGE_DEFAULT = "Q8_0"
_TOOLS = ("gguf", "llama-cpp-python", "onnx", "onnxruntime", "onnxscript", "skyeye-edge", "torch")
_READ = ("skyeye.json", "vision.safetensors", "aligner.safetensors", "llm")


def describe(
    info: CheckpointInfo,
    spec: ModelSpec,
    checkpoint: Path,
    folder: Path,
    visions: Sequence[str],
    types: Sequence[str],
) -> Manifest:
    """The manifest of what lies in `folder` now."""
    with needs("export"):
        from skyeye_edge.training.model.checkpoint import read_description
    return Manifest(
        name=info.name,
        version=info.version,
        created=created(info.created),
        commercial_use=info.commercial_use,
        architecture=read_description(checkpoint)["architecture"],
        spec=spec,
        vocabulary=read_sizes(checkpoint / "llm").vocabulary,
        vision_variants={variant: vision_file_name(variant) for variant in visions},
        vision_default=VISION_DEFAULT,
        language_variants={kind: language_file_name(kind) for kind in types},
        language_default=LANGUAGE_DEFAULT if LANGUAGE_DEFAULT in types else types[0],
        tasks=info.tasks,
        licences=info.licences,
        files={
            path.name: FileEntry(_sha256(path), path.stat().st_size)
            for path in sorted(folder.iterdir())
            if path.name != MANIFEST_NAME
        },
        provenance={
            **info.provenance,
            "checkpoint_sha256": checkpoint_sha256(checkpoint),
            "tools": {name: _version(name) for name in _TOOLS},
        },
        one_by_one=tuple(variant for variant in visions if variant in ONE_BY_ONE),
    )


def created(stated: str) -> str:
    """When the bundle was made: SOURCE_DATE_EPOCH, else what the checkpoint states; never now.

    Raises:
        InputError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return stated or "1970-01-01T00:00:00Z"
    try:
        moment = datetime.fromtimestamp(int(given), tz=timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"SOURCE_DATE_EPOCH {given!r}: give whole seconds since 1970") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def checkpoint_sha256(checkpoint: Path) -> str:
    """Hash over names and contents of everything in a checkpoint that export reads."""
    digest = hashlib.sha256()
    for name in _READ:
        place = checkpoint / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                relative = path.relative_to(checkpoint).as_posix()
                digest.update(f"{_sha256(path)}  {relative}\n".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
