"""Vision towers by the name that `skyeye.json` gives them: one entry for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.model.clip import ClipConfig, ClipVit
from skyeye_edge.training.model.eva import EvaConfig, EvaVit

TowerConfig = EvaConfig | ClipConfig
Tower = EvaVit | ClipVit

TOWERS: Mapping[str, Callable[[Mapping[str, Any]], Tower]] = MappingProxyType(
    {
        EvaVit.kind: lambda values: EvaVit(EvaConfig(**values)),
        ClipVit.kind: lambda values: ClipVit(ClipConfig(**values)),
    }
)


def build_tower(kind: str, values: Mapping[str, Any]) -> Tower:
    """A tower with fresh weights.

    Args:
        kind: a key of TOWERS.
        values: its configuration.

    Raises:
        InputError: there is no such tower.
    """
    if kind not in TOWERS:
        raise InputError(f"vision tower {kind!r} is not known, only {', '.join(TOWERS)}")
    return TOWERS[kind](values)
