"""Weights where they lie: named tensors whose values are read when they are asked for.

One view of safetensors, PyTorch files and folders of shards, and the writer of safetensors that
takes one tensor at a time: whatever goes through here never lies in memory as a whole.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError

SHARD_BYTES = 2**30  # of weights in one file
MAPPED_BYTES = 2**28  # that are read of a PyTorch file before it is mapped anew
SECTIONS = ("model", "state_dict", "module")  # where training programs put weights in a dict
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_ZIP = b"PK\x03\x04"
_CODE = re.compile(r"GLOBAL (\S+)")


@dataclass(frozen=True, slots=True)
class LazyTensor:
    """A tensor whose values come when they are asked for."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]  # a tensor of that shape and type, on the CPU

    @property
    def size_bytes(self) -> int:
        """Of its values."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


Tensors = Mapping[str, LazyTensor]


@dataclass(frozen=True, slots=True)
class Weights:
    """What a file or folder of weights holds."""

    path: Path
    tensors: Tensors
    values: Mapping[str, Any] = field(default_factory=dict)  # of a PyTorch file: what is no weight


def lazy(tensor: Tensor) -> LazyTensor:
    """A tensor that is in memory."""
    value = tensor.detach()
    return LazyTensor(tuple(value.shape), value.dtype, lambda: value.cpu())


def as_dtype(tensor: LazyTensor, dtype: torch.dtype) -> LazyTensor:
    """The same values in another type."""
    return LazyTensor(tensor.shape, dtype, lambda: tensor.read().to(dtype))


def open_weights(path: Path) -> Weights:
    """Names, shapes and types of a safetensors or PyTorch file, or of a folder of shards.

    Raises:
        CheckpointError: it is missing, cut short, damaged, or a pickle that wants to run code.
    """
    if path.is_dir():
        return Weights(path, _read_folder(path))
    if path.suffix == ".safetensors":
        return Weights(path, read_safetensors(path))
    return _read_torch(path)


def read_safetensors(path: Path) -> dict[str, LazyTensor]:
    """What is in a safetensors file, by name.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return {key: _from_safetensors(path, key, file) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {_reason(error)}; copy it again") from error


def _from_safetensors(path: Path, key: str, file: Any) -> LazyTensor:
    part = file.get_slice(key)
    kind = part.get_dtype()
    if kind not in _DTYPES:
        raise CheckpointError(f"{path}: tensor {key!r} is of type {kind}, which is not known")

    def read() -> Tensor:
        # Opened anew: what is read of a mapped file counts as memory until the file is closed.
        with safe_open(path, "pt") as again:
            return again.get_tensor(key)

    return LazyTensor(tuple(part.get_shape()), _DTYPES[kind], read)


def _read_folder(folder: Path) -> dict[str, LazyTensor]:
    found: dict[str, LazyTensor] = {}
    for path in _shards(folder):
        tensors = open_weights(path).tensors
        if both := sorted(found.keys() & tensors.keys()):
            raise CheckpointError(f"{path}: tensor {both[0]!r} stands in another file too")
        found |= tensors
    return found


def _shards(folder: Path) -> list[Path]:
    """The files of a Hugging Face folder: what its index names, else all that look like weights."""
    for index, pattern in (
        ("model.safetensors.index.json", "*.safetensors"),
        ("pytorch_model.bin.index.json", "pytorch_model*.bin"),
    ):
        paths = _indexed(folder / index) or sorted(folder.glob(pattern))
        if paths:
            return paths
    raise CheckpointError(
        f"{folder}: no weights: neither *.safetensors nor pytorch_model*.bin. A folder in the "
        "Hugging Face format is needed (config.json, weights, tokenizer.model)"
    )


def _indexed(index: Path) -> list[Path]:
    if not index.exists():
        return []
    try:
        names = {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index}: not a usable index: {error!r}") from error
    paths = sorted(index.parent / name for name in names)
    for path in paths:
        if path.parent != index.parent or not path.is_file():
            raise CheckpointError(f"{index}: names {path.name!r}, which is not in the folder")
    return paths


def _read_torch(path: Path) -> Weights:
    contents = _load_torch(path)
    if not isinstance(contents, Mapping):
        raise CheckpointError(f"{path}: holds {type(contents).__name__}, not named tensors")
    sections = [name for name in SECTIONS if isinstance(contents.get(name), Mapping)]
    section = sections[0] if sections else None
    named = contents if section is None else contents[section]
    mapped = _MappedFile(path, section) if _is_zip(path) else None
    tensors = {
        str(name): _from_torch(path, mapped, name, value)
        for name, value in named.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        keys = ", ".join(str(key) for key in list(contents)[:8])
        raise CheckpointError(f"{path}: no tensors in it, but {keys or 'nothing'}")
    odd = [name for name, value in named.items() if not isinstance(value, Tensor)]
    if section is not None and odd:
        raise CheckpointError(f"{path}: {section}: {odd[0]!r} is no tensor")
    values = {str(k): v for k, v in contents.items() if not isinstance(v, Tensor) and k != section}
    return Weights(path, tensors, values)


def _from_torch(path: Path, mapped: _MappedFile | None, name: object, value: Tensor) -> LazyTensor:
    if value.layout != torch.strided or value.is_quantized:
        raise CheckpointError(f"{path}: tensor {name!r} is sparse or quantised")
    if mapped is None:  # of before 2020: such a file can only be read whole
        return lazy(value)
    return LazyTensor(tuple(value.shape), value.dtype, lambda: mapped.read(name))


class _MappedFile:
    """A PyTorch file whose tensors are read one by one, and mapped anew now and then.

    What was read of a mapped file counts as memory until nothing refers to the mapping; to open a
    file takes some milliseconds for every hundred tensors in it.
    """

    def __init__(self, path: Path, section: str | None) -> None:
        self._path, self._section = path, section
        self._named: Mapping[Any, Tensor] | None = None
        self._read_bytes = 0

    def read(self, name: object) -> Tensor:
        """A copy of one tensor."""
        if self._named is None or self._read_bytes > MAPPED_BYTES:
            self._named, self._read_bytes = None, 0  # the old mapping ends before the new one
            contents = _load_torch(self._path)
            self._named = contents if self._section is None else contents[self._section]
        assert self._named is not None
        value = self._named[name].detach()
        self._read_bytes += value.nbytes
        return value.clone()


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _load_torch(path: Path) -> Any:
    """The file's contents, tensors mapped and not read; nothing in it is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        if found := _CODE.search(str(error)):
            raise CheckpointError(
                f"{path}: wants to run {found[1]} while it is opened, and was not opened: a file "
                "of weights holds tensors and plain values only. If you trust its author, ask for "
                "one that does"
            ) from error
        raise CheckpointError(f"{path}: not a file of PyTorch weights") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: {_reason(error)}; copy it again") from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = str(error).partition(".")[0].strip()
    return f"cannot be read, it may be cut short ({first or type(error).__name__})"


def write_safetensors(path: Path, tensors: Tensors, tell: Callable[[int], None]) -> None:
    """Write a file of safetensors, one tensor in memory at a time.

    Args:
        path: the file.
        tensors: what it shall hold, by name.
        tell: hears the bytes of each tensor once they are written.
    """
    # As the library orders them: wide types first, so that every tensor is aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].size_bytes
        kind, shape = _NAMES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            value = tensors[name].read()
            assert (tuple(value.shape), value.dtype) == (tensors[name].shape, tensors[name].dtype)
            file.write(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
            tell(tensors[name].size_bytes)


def write_shards(
    folder: Path, tensors: Tensors, tell: Callable[[int], None], limit: int = SHARD_BYTES
) -> None:
    """Write `model.safetensors`, or of more than `limit` bytes several with their index."""
    groups = list(_grouped(tensors, limit))
    if len(groups) == 1:
        write_safetensors(folder / "model.safetensors", tensors, tell)
        return
    places: dict[str, str] = {}
    for number, names in enumerate(groups, 1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        write_safetensors(folder / file, {name: tensors[name] for name in names}, tell)
        places |= dict.fromkeys(names, file)
    size = sum(tensor.size_bytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def _grouped(tensors: Tensors, limit: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        if names and size + tensor.size_bytes > limit:
            yield names
            names, size = [], 0
        names.append(name)
        size += tensor.size_bytes
    yield names
