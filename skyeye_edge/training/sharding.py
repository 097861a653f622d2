"""The frozen weights of a run spread over its processes: each holds its share and fetches the rest.

What is trained stays whole everywhere, so DistributedDataParallel, checkpoints and resuming work as
without: with LoRA, nearly everything is frozen.
"""

from __future__ import annotations

from collections.abc import Collection

from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from skyeye_edge.training.lora import trained_tensors
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.recipe import Part


def shard_frozen(model: SkyEyeModel, parts: Collection[Part]) -> None:
    """Spread all but `parts` over all processes (FSDP2), block by block, in place; once is enough.

    The model lies where it will be computed, and every process calls this.
    """
    if any(isinstance(value, DTensor) for value in model.parameters()):
        return
    names = trained_tensors(model, parts)
    trained = {value for name, value in model.named_parameters() if name in names}
    for block in [*model.vision.blocks, *model.language_model.get_decoder().layers]:
        fully_shard(block, ignored_params=trained)
    fully_shard(model, ignored_params=trained)
    spread = [name for name, value in model.named_parameters() if isinstance(value, DTensor)]
    # Without this it would make them equal everywhere, before the first step.
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, spread)
