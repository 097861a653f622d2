"""The checkpoint folder: what stands in it, and how it is written, one tensor in memory at a time.

checkpoint/
  skyeye.json            sizes, specification, licences, provenance
  vision.safetensors     vision tower and `ln_vision`
  aligner.safetensors    `llama_proj`, or what else joins the tower to the language model
  llm/                   a plain Hugging Face folder with `tokenizer.model`
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from skyeye_edge.core.errors import CheckpointError, InputError, SkyEyeError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.model.tensors import (
    Tensors,
    open_weights,
    read_safetensors,
    write_safetensors,
    write_shards,
)

DESCRIPTION = "skyeye.json"
VISION, ALIGNER, LANGUAGE = "vision.safetensors", "aligner.safetensors", "llm"
FULL_BELOW = 2**20  # bytes: PyTorch's own writer does not say why it failed
Written = Callable[[int, int], None]  # hears bytes written and bytes in all


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What `skyeye.json` says beside the sizes and the specification."""

    name: str
    version: str = "0.0.0"
    created: str = ""  # UTC, ISO 8601
    commercial_use: bool = False
    tasks: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointContents:
    """Everything that a checkpoint folder is written from."""

    info: CheckpointInfo
    spec: ModelSpec
    vision_config: Mapping[str, Any]
    vision: Tensors  # names begin with `vision.` or `ln_vision.`
    aligner: Tensors  # names begin with `aligner.`
    language: Tensors  # Hugging Face's names
    language_config: Mapping[str, Any]  # the contents of its config.json
    tokenizer: Path  # the sentencepiece model
    architecture: Mapping[str, str] = field(
        default_factory=lambda: {"vision": "eva", "aligner": "linear", "language": "llama"}
    )
    aligner_config: Mapping[str, Any] = field(default_factory=dict)  # what is not the default

    @property
    def size_bytes(self) -> int:
        """Of all weights."""
        parts = (self.vision, self.aligner, self.language)
        return sum(tensor.size_bytes for part in parts for tensor in part.values())


def write_checkpoint(folder: Path, contents: CheckpointContents, tell: Written) -> None:
    """Write the files of a checkpoint into `folder`, which must not exist or be empty.

    Raises:
        OSError: there is less room on the disk than the weights need; `saving` says it in words.
        CheckpointError: a tensor cannot be read.
    """
    total, done = contents.size_bytes, 0
    check_room(folder, total)

    def count(size: int) -> None:
        nonlocal done
        done += size
        tell(done, total)

    language = folder / LANGUAGE
    language.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / VISION, contents.vision, count)
    write_safetensors(folder / ALIGNER, contents.aligner, count)
    write_shards(language, contents.language, count)
    _write_json(language / "config.json", contents.language_config)
    _copy_tokenizer(contents.tokenizer, language)
    values = {
        **asdict(contents.info),
        "architecture": dict(contents.architecture),
        "vision_config": dict(contents.vision_config),
        "aligner_config": dict(contents.aligner_config),
        "spec": contents.spec.to_json(),
    }
    _write_json(folder / DESCRIPTION, values)


def read_contents(folder: Path) -> CheckpointContents:
    """What a checkpoint folder says, and its tensors, values not read yet.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    values = read_description(folder)
    try:
        language_config = json.loads((folder / LANGUAGE / "config.json").read_text("utf-8"))
        return CheckpointContents(
            info=_info(values),
            spec=ModelSpec.from_json(values["spec"]),
            vision_config=values["vision_config"],
            vision=read_safetensors(folder / VISION),
            aligner=read_safetensors(folder / ALIGNER),
            language=open_weights(folder / LANGUAGE).tensors,
            language_config=language_config,
            tokenizer=folder / LANGUAGE / "tokenizer.model",
            architecture=values["architecture"],
            aligner_config=values.get("aligner_config", {}),
        )
    except (KeyError, TypeError, ValueError, OSError, InputError) as error:
        raise CheckpointError(
            f"{folder}: not a usable checkpoint: {error}. "
            "Make one with `skyeye-edge merge RUN -o CHECKPOINT`"
        ) from error


def _info(values: Mapping[str, Any]) -> CheckpointInfo:
    known = {key: values[key] for key in CheckpointInfo.__dataclass_fields__ if key in values}
    known |= {key: tuple(known.get(key, ())) for key in ("tasks", "licences")}
    return CheckpointInfo(**known)


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of `skyeye.json`.

    Raises:
        CheckpointError: there is none, or it is not JSON.
    """
    try:
        values: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{folder}: not a checkpoint: {DESCRIPTION}: {error}") from error
    return values


def now() -> str:
    """The time of day in UTC, ISO 8601; with SOURCE_DATE_EPOCH, that moment."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@contextmanager
def new_folder(target: Path, advice: str) -> Iterator[Path]:
    """A folder beside the target that takes its name once everything is in it.

    Raises:
        InputError: the target exists.
        SkyEyeError: the disk is full; `advice` says how to go on once there is room.
    """
    if os.path.lexists(target):
        raise InputError(f"{target}: exists; give another folder, or remove it")
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    with saving(target, advice):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            _sync(draft)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def saving(path: Path, advice: str) -> Iterator[None]:
    """Around code that writes weights below `path`: a full disk in our words.

    safetensors and PyTorch have errors of their own for it, and PyTorch's gives no reason.

    Raises:
        SkyEyeError: the disk is full; `advice` says how to go on once there is room.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        full = "os error 28" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
        if full or _free(path) < FULL_BELOW:
            reason = getattr(error, "strerror", None) or error
            raise SkyEyeError(
                f"{path}: the disk is full; make room, then {advice} ({reason})"
            ) from error
        raise


def check_room(path: Path, size_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        OSError: fewer than `size_bytes` are free below `path`.
    """
    if (free := _free(path)) < size_bytes:
        raise OSError(errno.ENOSPC, f"{size_bytes:,} bytes are needed, {free:,} are free")


def _free(path: Path) -> int:
    existing = next(each for each in (path, *path.absolute().parents) if each.exists())
    return shutil.disk_usage(existing).free


def _sync(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


def _copy_tokenizer(source: Path, folder: Path) -> None:
    for path in (source, source.parent / "tokenizer_config.json"):
        if path.exists():
            shutil.copyfile(path, folder / path.name)
    if not source.exists():
        raise CheckpointError(f"{source}: is missing; the tokenizer belongs to the weights")
