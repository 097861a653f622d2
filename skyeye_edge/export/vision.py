"""The vision side of a checkpoint as ONNX: tower, norm, concatenation and projection in one graph.

Opset 20, because TensorRT refuses the fused attention of later ones. Dynamic int8 is for CPUs only.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from skyeye_edge.core.errors import InputError, needs

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from skyeye_edge.training.model.skyeye import SkyEyeModel

VisionVariant = Literal["fp32", "fp16", "int8"]
VISION_VARIANTS: tuple[VisionVariant, ...] = get_args(VisionVariant)
# Scales of activations are taken while running, over the whole batch: with a neighbour in it, an
# image would get other tokens than alone.
ONE_BY_ONE: tuple[VisionVariant, ...] = ("int8",)

OPSET = 20
PROTOBUF_LIMIT_BYTES = 2**31 - 2**20  # a model above 2 GiB cannot be one file; room for the graph
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
    model: SkyEyeModel, variants: Sequence[VisionVariant], folder: Path, scratch: Path
) -> dict[VisionVariant, Path]:
    """Write one ONNX file per variant: `pixel_values` (B, 3, S, S) to `visual_tokens` (B, N, d).

    Inputs and outputs are float32 in every variant, and B is free.

    Args:
        model: the checkpoint, in evaluation mode; not modified.
        variants: what to write.
        folder: where the files go; weights of more than 2 GiB lie beside them as `.onnx.data`.
        scratch: a folder for what is needed on the way.
    """
    paths = {variant: folder / vision_file_name(variant) for variant in variants}
    if "fp16" in paths:
        write_onnx(_traced(model, half=True), paths["fp16"])
    if "fp32" in paths or "int8" in paths:
        full = paths.get("fp32", scratch / vision_file_name("fp32"))
        write_onnx(_traced(model, half=False), full)
        if "int8" in paths:
            _write_int8(full, paths["int8"], scratch)
    return paths


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write a model deterministically and without anything that tells where it was made."""
    with needs("export"):
        import onnx
    strip(model)
    if _weight_bytes(model) > PROTOBUF_LIMIT_BYTES:
        onnx.save_model(model, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path), full_check=True)


def strip(model: onnx.ModelProto) -> None:
    """Remove documentation and metadata everywhere: the exporter leaves stack traces with paths."""
    for part in _parts(model):
        for name in ("doc_string", "metadata_props"):
            if name in part.DESCRIPTOR.fields_by_name:
                part.ClearField(name)


def _parts(model: onnx.ModelProto) -> Iterable[Any]:
    yield model
    for graph in (model.graph, *model.functions):
        yield graph
        yield from graph.node
        yield from graph.value_info
    yield from model.graph.input
    yield from model.graph.output
    yield from model.graph.initializer


def _weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _traced(model: SkyEyeModel, *, half: bool) -> onnx.ModelProto:
    """The graph of `encode_image`; with `half`, weights and arithmetic are float16."""
    with needs("export"):
        import onnxscript  # noqa: F401  # the exporter needs it, and would say so at length
        import torch

    number = torch.float16 if half else torch.float32

    class Vision(torch.nn.Module):
        """`encode_image` alone: the language model must not be traced or copied."""

        def __init__(self) -> None:
            super().__init__()
            self.vision = copy.deepcopy(model.vision).to(number)
            self.ln_vision = copy.deepcopy(model.ln_vision).to(number)
            self.aligner = copy.deepcopy(model.aligner).to(number)

        def forward(self, pixel_values: Tensor) -> Tensor:
            patches = self.ln_vision(self.vision(pixel_values.to(number)))[:, 1:]
            visual_tokens: Tensor = self.aligner(patches).float()
            return visual_tokens

    side = model.spec.vision.image_size
    with _quiet_exporter():
        program = torch.onnx.export(
            Vision().eval(),
            (torch.zeros(EXAMPLE_BATCH, 3, side, side),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixel_values"],
            output_names=["visual_tokens"],
            dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}},
            verbose=False,
        )
    traced: onnx.ModelProto = program.model_proto
    return traced


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


def _write_int8(full: Path, path: Path, scratch: Path) -> None:
    """Matrix weights as int8 per output channel; activations are quantised while running.

    Weights use 7 of the 8 bits: on x86 without VNNI the product of two neighbours saturates
    otherwise, and a bundle would answer differently there (measured price, random weights: relative
    error 1.4 % instead of 1.1 %).
    """
    with needs("export"):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    model = onnx.load(str(full))
    # Shapes are known already; without this mark the quantiser complains to the root logger.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    written = scratch / path.name
    quantize_dynamic(
        model,
        written,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=_weight_bytes(model) > PROTOBUF_LIMIT_BYTES,
    )
    write_onnx(onnx.load(str(written)), path)
