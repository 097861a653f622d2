"""The vision side of a checkpoint as ONNX: tower, norm, concatenation and projection in one graph.

The graph is traced without weights; they follow one by one, from the checkpoint into the file.
Opset 20, because TensorRT refuses the fused attention of later ones. Dynamic int8 is for CPUs only.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.export.onnx_graph import (
    WeightlessGraph,
    quantise_matrices,
    weightless,
    write_onnx,
)

if TYPE_CHECKING:
    from torch import Tensor

    from skyeye_edge.training.model.checkpoint import CheckpointContents

VisionVariant = Literal["fp32", "fp16", "int8"]
VISION_VARIANTS: tuple[VisionVariant, ...] = get_args(VisionVariant)
# Scales of activations are taken while running, over the whole batch: with a neighbour in it, an
# image would get other tokens than alone.
ONE_BY_ONE: tuple[VisionVariant, ...] = ("int8",)

OPSET = 20
EXAMPLE_BATCH = 2  # the exporter may turn a batch of 1 into a constant
MAX_BATCH = 1024  # declared, not enforced by ONNX Runtime


def vision_file_name(variant: str) -> str:
    """Name of a variant's file in a bundle."""
    return f"vision.{variant}.onnx"


def check_vision_variants(variants: Iterable[str]) -> tuple[VisionVariant, ...]:
    """The variants without repetitions, in the order given.

    Raises:
        InputError: there is none, or one is not known.
    """
    chosen: dict[VisionVariant, None] = {}
    for name in variants:
        for variant in VISION_VARIANTS:
            if name == variant:
                chosen[variant] = None
                break
        else:
            raise InputError(f"vision variant {name!r}: choose from {', '.join(VISION_VARIANTS)}")
    if not chosen:
        raise InputError(f"no vision variant: choose from {', '.join(VISION_VARIANTS)}")
    return tuple(chosen)


def export_vision(
    contents: CheckpointContents, variants: Sequence[VisionVariant], folder: Path
) -> dict[VisionVariant, Path]:
    """Write one ONNX file per variant: `pixel_values` (B, 3, S, S) to `visual_tokens` (B, N, d).

    Inputs and outputs are float32 in every variant, and B is free. One weight is in memory at a
    time, unless all fit into the file with the graph.

    Args:
        contents: of a checkpoint folder.
        variants: what to write.
        folder: where the files go; weights of more than 256 MiB lie beside them as `.onnx.data`.

    Raises:
        CheckpointError: a tensor is missing, not known or of another shape.
    """
    paths = {variant: folder / vision_file_name(variant) for variant in variants}
    if "fp16" in paths:
        write_onnx(_traced(contents, half=True), paths["fp16"])
    if "fp32" in paths or "int8" in paths:
        full = _traced(contents, half=False)
        if "fp32" in paths:
            write_onnx(full, paths["fp32"])
        if "int8" in paths:
            write_onnx(quantise_matrices(full), paths["int8"])
    return paths


def _traced(contents: CheckpointContents, *, half: bool) -> WeightlessGraph:
    """The graph of `encode_image`; with `half`, weights and arithmetic are float16."""
    with needs("export"):
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        from skyeye_edge.training.model.tensors import as_dtype
        from skyeye_edge.training.model.vision import VisionSide, blank_vision, check_names

    class Vision(torch.nn.Module):
        """`encode_image` alone, with float32 at both ends."""

        def __init__(self, side: VisionSide) -> None:
            super().__init__()
            self.side = side

        def forward(self, pixel_values: Tensor) -> Tensor:
            visual_tokens: Tensor = self.side.encode_image(pixel_values).float()
            return visual_tokens

    number = torch.float16 if half else torch.float32
    edge = contents.spec.vision.image_size
    tensors = {**contents.vision, **contents.aligner}
    with FakeTensorMode(allow_non_fake_inputs=True), _quiet_exporter():
        side = blank_vision(contents, number).eval()
        check_names(side.state_dict(), tensors)
        program = torch.onnx.export(
            Vision(side).eval(),
            (torch.zeros(EXAMPLE_BATCH, 3, edge, edge),),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,  # it would compute with weights that are not there
            input_names=["pixel_values"],
            output_names=["visual_tokens"],
            dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}},
            verbose=False,
        )
    weights = {f"side.{name}": as_dtype(tensor, number) for name, tensor in tensors.items()}
    return weightless(program, weights)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide what the exporter says about libraries that we do not use."""
    chatter = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        chatter.setLevel(before)
