"""One model in several files: base, tower, and what was trained, each with names of its own.

Tensors of all of them are asked for by the names that they have here; errors name them as their
file does. What a later file holds replaces what an earlier one held.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skyeye_edge.core.errors import CheckpointError
from skyeye_edge.training.model.adapters import ADAPTER, Adapter, merged
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.tensors import LazyTensor, Tensors

Renames = Sequence[tuple[str, str]]  # pattern of a whole name, and what it is called here
_PEFT = "base_model.model."  # before every name that peft writes


@dataclass(frozen=True, slots=True)
class Scaling:
    """How much adapters count, as `adapter_config.json` says."""

    alpha: float
    root: bool = False  # alpha / sqrt(rank) (rsLoRA), else alpha / rank
    patterns: Mapping[str, float] = field(default_factory=dict)  # alphas of single layers

    def of(self, layer: str, rank: int) -> float:
        """What the change of a layer is multiplied by."""
        named = [
            alpha
            for pattern, alpha in self.patterns.items()
            if re.fullmatch(rf"(.*\.)?({pattern})", layer)
        ]
        alpha = named[0] if named else self.alpha
        return alpha / (math.sqrt(rank) if self.root else rank)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor lies; or an adapter, by the name of its layer."""

    ledger: Ledger
    name: str


class Parts:
    """The tensors of all files, by the names of a checkpoint."""

    def __init__(self, renames: Renames, scaling: Scaling | None = None) -> None:
        self._renames, self._scaling = renames, scaling
        self._ledgers: list[Ledger] = []
        self._places: dict[str, _Place] = {}
        self._adapters: dict[str, _Place] = {}
        self.merged: dict[str, int] = {}  # ranks of the adapters that were used, by name

    def add(self, source: Path, tensors: Tensors) -> None:
        """Take in a file; its tensors replace those of the same names.

        Raises:
            CheckpointError: two of its tensors have one name here.
        """
        ledger = Ledger(source, tensors)
        self._ledgers.append(ledger)
        for name in ledger.names:
            if found := ADAPTER.fullmatch(name):
                target = self._renamed(f"{found['layer']}.weight")
                if target is not None:
                    self._adapters[target] = _Place(ledger, found["layer"])
                continue
            target = self._renamed(name)
            if target is None:
                continue
            before = self._places.get(target)
            if before is not None and before.ledger is ledger:
                raise CheckpointError(
                    f"{source}: tensors {before.name!r} and {name!r} are the same part of the model"
                )
            if before is not None:
                before.ledger.ignore(re.escape(before.name))
            self._places[target] = _Place(ledger, name)

    def names(self, pattern: str) -> list[str]:
        """Names here that match a pattern as a whole."""
        return [name for name in self._places if re.fullmatch(pattern, name)]

    def source(self, name: str) -> Path:
        """The file that a tensor comes from."""
        return self._places[name].ledger.source

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, which is not used by asking.

        Raises:
            CheckpointError: no file has it.
        """
        place = self._find(name)
        return place.ledger.shape(place.name)

    def take(self, name: str, shape: Sequence[int]) -> LazyTensor:
        """Use a tensor, with its adapter if it has one; it must have the given shape.

        Raises:
            CheckpointError: it is missing, or of another shape or kind.
        """
        place = self._find(name)
        tensor = place.ledger.take(place.name, shape)
        adapter = self._adapters.get(name)
        return tensor if adapter is None else self._merged(name, tensor, adapter)

    def ignore(self, pattern: str) -> None:
        """Account for tensors that are of no use, by a pattern of their names here or there."""
        for name in self.names(pattern):
            place = self._places[name]
            place.ledger.ignore(re.escape(place.name))
            if adapter := self._adapters.get(name):
                for side in _sides(adapter).values():
                    adapter.ledger.ignore(re.escape(side))
        for ledger in self._ledgers:
            ledger.ignore(pattern)

    def close(self, hint: str) -> None:
        """Refuse what nobody used.

        Raises:
            CheckpointError: tensors are left; the message names the first ones.
        """
        for ledger in self._ledgers:
            ledger.close(hint)

    def _merged(self, name: str, tensor: LazyTensor, place: _Place) -> LazyTensor:
        scaling, sides = self._scaling, _sides(place)
        if scaling is None:
            raise CheckpointError(
                f"{place.ledger.source}: adapters of {place.name!r}, but no adapter_config.json "
                "beside them says how much they count; copy it there"
            )
        if len(tensor.shape) != 2:
            raise CheckpointError(
                f"{place.ledger.source}: adapters of {place.name!r}, whose {tensor.shape} weights "
                "are no matrix"
            )
        (rows, columns), rank = tensor.shape, place.ledger.shape(sides["A"])[0]
        down = place.ledger.take(sides["A"], (rank, columns))
        up = place.ledger.take(sides["B"], (rows, rank))
        self.merged[name] = rank
        scale = scaling.of(place.name.removeprefix(_PEFT), rank)
        return merged(tensor, Adapter(down, up, scale))

    def _find(self, name: str) -> _Place:
        if name not in self._places:
            files = ", ".join(str(ledger.source) for ledger in self._ledgers)
            raise CheckpointError(f"{files}: tensor {name!r} (as it is called here) is missing")
        return self._places[name]

    def _renamed(self, name: str) -> str | None:
        plain = name.removeprefix(_PEFT)
        for pattern, here in self._renames:
            if found := re.fullmatch(pattern, plain):
                return found.expand(here)
        return None


def _sides(place: _Place) -> dict[str, str]:
    """Names of both tensors of an adapter; of one that is missing, as it should be called."""
    sides = {side: f"{place.name}.lora_{side}.weight" for side in "AB"}
    for name in place.ledger.names:
        found = ADAPTER.fullmatch(name)
        if found and found["layer"] == place.name:
            sides[found["side"]] = name
    return sides
