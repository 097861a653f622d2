"""Every tensor of a source is used, known to be of no use, or refused by its name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from skyeye_edge.core.errors import CheckpointError
from skyeye_edge.training.model.tensors import LazyTensor, Tensors

_WEIGHTS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Ledger:
    """The tensors of one source, and which of them are accounted for."""

    def __init__(self, source: Path, tensors: Tensors) -> None:
        self.source = source
        self._tensors = tensors
        self._open = set(tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, used or not, as the source orders them."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, which is not used by asking.

        Raises:
            CheckpointError: there is none of this name.
        """
        return self._find(name).shape

    def take(self, name: str, shape: Sequence[int]) -> LazyTensor:
        """Use a tensor, which must have the given shape.

        Raises:
            CheckpointError: it is missing, of another shape, or no floating-point weight; reading
                it raises one too where a value is not finite.
        """
        found = self._find(name)
        if found.shape != tuple(shape):
            raise CheckpointError(
                f"{self.source}: tensor {name!r} is {found.shape}, should be {tuple(shape)}: "
                "the files do not belong together, or are of another architecture"
            )
        if found.dtype not in _WEIGHTS:
            raise CheckpointError(
                f"{self.source}: tensor {name!r} is of type {found.dtype}; weights as they were "
                "trained are needed (float32, float16 or bfloat16), not quantised ones"
            )
        self._open.discard(name)
        return LazyTensor(found.shape, found.dtype, lambda: self._checked(name, found))

    def ignore(self, pattern: str) -> None:
        """Account for tensors that are of no use, by a pattern of their whole names."""
        self._open -= {name for name in self._open if re.fullmatch(pattern, name)}

    def close(self, hint: str = "") -> None:
        """Refuse what nobody used.

        Raises:
            CheckpointError: tensors are left; the message names the first ones, and gives `hint`.
        """
        left = [name for name in self._tensors if name in self._open]
        if left:
            more = f" and {len(left) - 3} more" if len(left) > 3 else ""
            raise CheckpointError(
                f"{self.source}: not known: {', '.join(left[:3])}{more}; a model of another "
                f"architecture? Nothing was written{'. ' if hint else ''}{hint}"
            )

    def _find(self, name: str) -> LazyTensor:
        if name not in self._tensors:
            near = difflib.get_close_matches(name, self._tensors, n=1, cutoff=0.5)
            there = f"the nearest is {near[0]!r}" if near else "nothing is called like it"
            raise CheckpointError(f"{self.source}: tensor {name!r} is missing; {there}")
        return self._tensors[name]

    def _checked(self, name: str, tensor: LazyTensor) -> Tensor:
        value = tensor.read()
        # Extremes are numbers only if all values are; thirty times as fast as asking each.
        if value.numel() and not all(bool(edge.isfinite()) for edge in value.aminmax()):
            raise CheckpointError(
                f"{self.source}: tensor {name!r} has values that are no finite numbers; "
                "copy the file again, or ask its author"
            )
        return value
