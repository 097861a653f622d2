"""ONNX graphs whose weights come last: rewritten without them, and written with one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.errors import needs

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from skyeye_edge.training.model.tensors import LazyTensor

INLINE_BYTES = 2**28  # of weights in the file with the graph: more is mapped from a file beside it
ALIGNED = 4096  # bytes: weights beside the graph can be mapped
INT8_STEPS = 64  # of 127, see `quantise_matrices`


@dataclass(frozen=True, slots=True)
class WeightlessGraph:
    """A graph that names its weights, and where each comes from."""

    proto: onnx.ModelProto
    weights: Mapping[str, LazyTensor]


def weightless(program: Any, weights: Mapping[str, LazyTensor]) -> WeightlessGraph:
    """A traced program with real weights in the place of those it was traced with.

    Args:
        program: what `torch.onnx.export` gives with `optimize=False`.
        weights: by the names of the traced modules' parameters and buffers.
    """
    graph = program.model.graph
    for name in weights:
        if name in graph.initializers:
            value = graph.initializers.pop(name)
            value.const_value = None
            graph.inputs.append(value)  # for as long as nothing may compute with it
    program.optimize()
    proto: onnx.ModelProto = program.model_proto
    inputs = [value for value in proto.graph.input if value.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    return _used(proto, _folded(proto, dict(weights)))


def _folded(proto: onnx.ModelProto, weights: dict[str, LazyTensor]) -> dict[str, LazyTensor]:
    """Weights, and what nodes make of weights alone; such nodes are taken out of the graph."""
    constants = {each.name: each for each in proto.graph.initializer}
    kept = []
    for node in proto.graph.node:
        fold = _FOLDS.get(node.op_type)
        known = all(name in weights or name in constants for name in node.input)
        if fold and known and any(name in weights for name in node.input):
            inputs = [weights.get(n) or _constant(constants[n]) for n in node.input]
            weights[node.output[0]] = fold(node, inputs)
        else:
            kept.append(node)
    nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return weights


def _transposed(node: onnx.NodeProto, inputs: list[LazyTensor]) -> LazyTensor:
    from skyeye_edge.training.model.tensors import LazyTensor

    (base,) = inputs
    order = tuple(_attribute(node, "perm", range(len(base.shape) - 1, -1, -1)))
    shape = tuple(base.shape[axis] for axis in order)
    return LazyTensor(shape, base.dtype, lambda: base.read().permute(order).contiguous())


def _joined(node: onnx.NodeProto, inputs: list[LazyTensor]) -> LazyTensor:
    import torch

    from skyeye_edge.training.model.tensors import LazyTensor

    axis = int(_attribute(node, "axis", 0))
    first = inputs[0]
    shape = list(first.shape)
    shape[axis] = sum(each.shape[axis] for each in inputs)
    return LazyTensor(
        tuple(shape), first.dtype, lambda: torch.cat([each.read() for each in inputs], axis)
    )


_FOLDS: Mapping[str, Callable[[onnx.NodeProto, list[LazyTensor]], LazyTensor]] = {
    "Transpose": _transposed,
    "Concat": _joined,
}


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    import onnx

    found = [each for each in node.attribute if each.name == name]
    return onnx.helper.get_attribute_value(found[0]) if found else default


def _constant(tensor: onnx.TensorProto) -> LazyTensor:
    import onnx
    import torch

    from skyeye_edge.training.model.tensors import lazy

    return lazy(torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()))


def _used(proto: onnx.ModelProto, weights: Mapping[str, LazyTensor]) -> WeightlessGraph:
    """Without weights and constants that no node asks for."""
    asked = {name for node in proto.graph.node for name in node.input}
    constants = [each for each in proto.graph.initializer if each.name in asked]
    kept = [type(each).FromString(each.SerializeToString()) for each in constants]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    return WeightlessGraph(proto, {n: tensor for n, tensor in weights.items() if n in asked})


def quantise_matrices(graph: WeightlessGraph) -> WeightlessGraph:
    """Products with weights in int8, scaled per output channel; activations scaled while running.

    Weights use 7 of the 8 bits: on x86 without VNNI the product of two neighbours saturates
    otherwise, and a bundle would answer differently there (measured price, random weights: relative
    error 1.4 % instead of 1.1 %).

    Source: ONNX Runtime's `quantize_dynamic`, whose nodes these are: its fused kernels know them.
    """
    with needs("export"):
        import onnx
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    weights = dict(graph.weights)
    nodes: list[onnx.NodeProto] = []
    activations: set[str] = set()
    for node in proto.graph.node:
        matrix = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if matrix is None or len(matrix.shape) != 2:
            nodes.append(node)
            continue
        source, name = node.input[0], node.input[1]
        if source not in activations:
            activations.add(source)
            nodes.append(_quantise_activation(source))
        weights |= _quantised(name, matrix)
        nodes += _integer_product(node, source, name)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    return _used(proto, weights)


def _quantise_activation(source: str) -> onnx.NodeProto:
    import onnx

    outputs = [f"{source}_quantized", f"{source}_scale", f"{source}_zero_point"]
    return onnx.helper.make_node("DynamicQuantizeLinear", [source], outputs)


def _integer_product(node: onnx.NodeProto, source: str, name: str) -> list[onnx.NodeProto]:
    import onnx

    make, out = onnx.helper.make_node, node.output[0]
    quantised = [f"{source}_quantized", f"{name}_quantized"]
    quantised += [f"{source}_zero_point", f"{name}_zero_point"]
    return [
        make("MatMulInteger", quantised, [f"{out}_integer"]),
        make("Cast", [f"{out}_integer"], [f"{out}_cast"], to=onnx.TensorProto.FLOAT),
        make("Mul", [f"{source}_scale", f"{name}_scale"], [f"{out}_scales"]),
        make("Mul", [f"{out}_cast", f"{out}_scales"], [out]),
    ]


def _quantised(name: str, matrix: LazyTensor) -> dict[str, LazyTensor]:
    """The int8 form of a (rows, columns) matrix, its scale and zero point per column."""
    import torch

    from skyeye_edge.training.model.tensors import LazyTensor, lazy

    def scale() -> Tensor:
        steps = matrix.read().abs().amax(0).double() / INT8_STEPS
        return torch.where(steps > 0, steps, 1.0).float()

    def values() -> Tensor:
        weights = matrix.read()
        steps = torch.where((top := weights.abs().amax(0)) > 0, top.double() / INT8_STEPS, 1.0)
        return (weights / steps.float()).round().clamp(-INT8_STEPS, INT8_STEPS).to(torch.int8)

    columns = matrix.shape[1]
    return {
        f"{name}_quantized": LazyTensor(matrix.shape, torch.int8, values),
        f"{name}_scale": LazyTensor((columns,), torch.float32, scale),
        f"{name}_zero_point": lazy(torch.zeros(columns, dtype=torch.int8)),
    }


def write_onnx(graph: WeightlessGraph, path: Path) -> None:
    """Write a graph and its weights, deterministically, with no trace of where it was made.

    Weights of more than INLINE_BYTES go into a file beside it, one in memory at a time.
    """
    with needs("export"):
        import onnx
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    strip(proto)
    size = sum(tensor.size_bytes for tensor in graph.weights.values())
    if size > INLINE_BYTES:
        _write_beside(proto, graph.weights, path)
    else:
        for name, tensor in graph.weights.items():
            proto.graph.initializer.append(_stated(name, tensor, _bytes(tensor.read())))
    path.write_bytes(proto.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path), full_check=True)


def _write_beside(proto: onnx.ModelProto, weights: Mapping[str, LazyTensor], path: Path) -> None:
    import onnx

    place = path.with_name(f"{path.name}.data")
    with place.open("wb") as file:
        for name, tensor in weights.items():
            stated = _stated(name, tensor, None)
            file.write(b"\0" * (-file.tell() % ALIGNED))
            facts = {"location": place.name, "offset": file.tell(), "length": tensor.size_bytes}
            for key, value in facts.items():
                stated.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
            stated.data_location = onnx.TensorProto.EXTERNAL
            proto.graph.initializer.append(stated)
            file.write(_bytes(tensor.read()))


def _stated(name: str, tensor: LazyTensor, content: bytes | None) -> onnx.TensorProto:
    import onnx
    import torch

    kinds = {
        torch.float32: onnx.TensorProto.FLOAT,
        torch.float16: onnx.TensorProto.FLOAT16,
        torch.int8: onnx.TensorProto.INT8,
    }
    stated = onnx.TensorProto(name=name, dims=tensor.shape, data_type=kinds[tensor.dtype])
    if content is not None:
        stated.raw_data = content
    return stated


def _bytes(value: Tensor) -> bytes:
    import torch

    content: bytes = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return content


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
