"""MoE-LoRA: several low-rank adapters on one layer, mixed token by token by a learnt router.

Source: RS-GPT4V tunes LLaVA-1.5 so beside LoRA; here every expert is asked and weighed by a softmax
(LoRAMoE, arXiv 2312.09979), so none starves and no balancing loss is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skyeye_edge.training.recipe import LoraRecipe

ADAPTER = "lora_"  # in the name of everything that an adapter has
FORGOTTEN = 0.01  # of the mean shares, per batch


class ExpertLinear(nn.Module):
    """`base_layer`, frozen, plus `experts` adapters of rank r: W x + s * sum p_e(x) B_e A_e x."""

    lora_shares: Tensor

    def __init__(self, base_layer: nn.Linear, recipe: LoraRecipe) -> None:
        super().__init__()
        inputs, outputs = base_layer.in_features, base_layer.out_features
        experts, rank = recipe.experts, recipe.rank
        self.base_layer = base_layer
        self.scaling = recipe.alpha / rank
        self.dropout = nn.Dropout(recipe.dropout)
        self.lora_A = nn.Parameter(torch.empty(experts, rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(experts, outputs, rank))
        self.lora_router = nn.Parameter(torch.zeros(experts, inputs))
        for matrix in self.lora_A:  # as peft does
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
        # What the router gave each expert lately, on average: how merging weighs them.
        self.register_buffer("lora_shares", torch.full((experts,), 1 / experts))

    def forward(self, values: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        shares = (values.to(self.lora_router.dtype) @ self.lora_router.T).softmax(-1)
        if self.training:
            mean = shares.detach().flatten(0, -2).mean(0).to(self.lora_shares.dtype)
            self.lora_shares.lerp_(mean, FORGOTTEN)
        dropped = self.dropout(values).to(self.lora_A.dtype)
        low = torch.einsum("...i,eri->...er", dropped, self.lora_A) * shares.unsqueeze(-1)
        added = torch.einsum("...er,eor->...o", low, self.lora_B)
        below: Tensor = self.base_layer(values)
        return below + self.scaling * added.to(below.dtype)


def add_experts(decoder: nn.Module, recipe: LoraRecipe, targets: Sequence[str] | None) -> None:
    """Exchange the decoder's linear layers of these names (None: all but the head), in place.

    Raises:
        ValueError: there are none.
    """
    found = [
        name
        for name, layer in decoder.named_modules()
        if isinstance(layer, nn.Linear)
        and name != "lm_head"
        and (targets is None or name.rpartition(".")[2] in targets)
    ]
    if not found:
        raise ValueError("the decoder has no such layers")
    for name in found:
        decoder.set_submodule(name, ExpertLinear(decoder.get_submodule(name), recipe))
