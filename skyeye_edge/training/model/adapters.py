"""Low-rank adapters as files hold them, and the matrices that they change."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.tensors import LazyTensor, Tensors

# As peft writes them: with the adapter's name since 0.3, without before. Experts have none of both.
ADAPTER = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.\w+)?\.weight")
_EXPERTS = ".lora_router"
_PROBES = 16  # random inputs that merged and adapted matrices are compared on


@dataclass(frozen=True, slots=True)
class Adapter:
    """A low-rank change of one matrix: it grows by `scale` x `up` @ `down`."""

    down: LazyTensor  # (rank, columns)
    up: LazyTensor  # (rows, rank)
    scale: float

    @property
    def rank(self) -> int:
        """Of the change."""
        return self.down.shape[0]


def take_adapters(
    ledger: Ledger, tensors: Tensors, prefix: str, alpha: float
) -> dict[str, Adapter]:
    """Use all LoRA tensors below `prefix`; by the name of the matrix that each changes.

    Each counts `alpha` / rank. One that changes no matrix of `tensors` is left, and closing the
    ledger refuses it.

    Raises:
        CheckpointError: one has no counterpart, or does not fit its matrix.
    """
    found: dict[str, Adapter] = {}
    matches = [match for name in ledger.names if (match := ADAPTER.fullmatch(name))]
    sides = {(match["layer"], match["side"]): match.string for match in matches}
    for layer in dict.fromkeys(layer for layer, _ in sides):
        target = f"{layer.removeprefix(prefix)}.weight"
        if not layer.startswith(prefix) or target not in tensors:
            continue
        missing = f"{layer}.lora_{'B' if (layer, 'A') in sides else 'A'}.weight"
        down, up = (sides.get((layer, side), missing) for side in ("A", "B"))
        rank = ledger.shape(down)[0]
        rows, columns = tensors[target].shape
        found[target] = Adapter(
            ledger.take(down, (rank, columns)), ledger.take(up, (rows, rank)), alpha / rank
        )
    return found


def take_experts(ledger: Ledger, tensors: Tensors, prefix: str, alpha: float) -> dict[str, Adapter]:
    """As above, of MoE-LoRA: every expert at the mean share its router gave it, as one adapter.

    Source: training/experts.py, which has the layer that is trained.
    """
    found: dict[str, Adapter] = {}
    for router in [name for name in ledger.names if name.endswith(_EXPERTS)]:
        layer = router.removesuffix(_EXPERTS)
        target = f"{layer.removeprefix(prefix)}.weight"
        if not layer.startswith(prefix) or target not in tensors:
            continue
        rows, columns = tensors[target].shape
        experts, rank = ledger.shape(f"{layer}.lora_A")[:2]
        ledger.take(router, (experts, columns))
        down = ledger.take(f"{layer}.lora_A", (experts, rank, columns))
        up = ledger.take(f"{layer}.lora_B", (experts, rows, rank))
        shares = ledger.take(f"{layer}.lora_shares", (experts,))
        found[target] = Adapter(_stacked(down), _side_by_side(up, shares), alpha / rank)
    return found


def _stacked(down: LazyTensor) -> LazyTensor:
    """(experts, rank, columns) to (experts * rank, columns)."""
    experts, rank, columns = down.shape
    shape = (experts * rank, columns)
    return LazyTensor(shape, down.dtype, lambda: down.read().reshape(shape))


def _side_by_side(up: LazyTensor, shares: LazyTensor) -> LazyTensor:
    """(experts, rows, rank), each times its share, to (rows, experts * rank), float32."""
    experts, rows, rank = up.shape
    shape = (rows, experts * rank)

    def read() -> Tensor:
        weighed = up.read().float() * shares.read().float()[:, None, None]
        return weighed.permute(1, 0, 2).reshape(shape)

    return LazyTensor(shape, torch.float32, read)


def merged(base: LazyTensor, adapter: Adapter) -> LazyTensor:
    """A matrix with its adapter added, float32."""

    def read() -> Tensor:
        up, down = adapter.up.read().float(), adapter.down.read().float()
        return torch.addmm(base.read().float(), up, down, alpha=adapter.scale)

    return LazyTensor(base.shape, torch.float32, read)


def merge_error(written: LazyTensor, base: LazyTensor, adapter: Adapter) -> float:
    """How far a merged matrix is from the adapted one, on random inputs.

    Args:
        written: the merged matrix, read back.
        base: the matrix before.
        adapter: what was added.

    Returns:
        The largest difference of an output, as a share of the largest output.
    """
    seed = torch.Generator().manual_seed(0)
    inputs = torch.randn(base.shape[1], _PROBES, generator=seed)
    change = adapter.up.read().float() @ (adapter.down.read().float() @ inputs)
    adapted = base.read().float() @ inputs + adapter.scale * change
    difference = (written.read().float() @ inputs - adapted).abs().max()
    return float(difference / adapted.abs().max().clamp(min=1e-9))
