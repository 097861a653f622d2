"""How near both halves come to what the machine can do: memory for words, arithmetic for pictures.

    python benchmarks/roofline.py [--bundle PATH] [--threads 1] [--quick]

Decoding reads every weight once for each token, so its bound is the memory: `decode` is (bytes of
weights read per token / time of one `llama_decode` of one token) divided by the bytes per second
that the same number of threads get by summing a large array. It may exceed 1 where the weights fit
into the caches, as those of the packaged model do. `batch` is the time of one call with a token
for each of four sequences, divided by that of four calls with one: below 1 is what writing answers
side by side gains.

Encoding is products of matrices: `encode` is the time that ONNX Runtime takes for the same products
alone (each shape and type in a graph of one node, times its number) divided by the time of a whole
encoding. What is missing to 1 is norms, softmax, GELU, transpositions and rounding to int8.
`ratio` is the smaller of the two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import skyeye_edge as sky
from measure import report, use_cores
from skyeye_edge.runtime.libllama import ContextOptions, LlamaContext, LlamaModel, Threads, Tokens

Product = tuple[str, tuple[int, ...], tuple[int, ...]]  # operator, shapes of both sides
STREAM_BYTES = 2**28  # far more than any cache
CONTEXT = 512
FILLED = 128  # positions before the token that is measured


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--repeats", type=int, default=200, help="of a token; default: 200")
    parser.add_argument("--quick", action="store_true", help="10 tokens, one encoding")
    args = parser.parse_args()
    repeats = 10 if args.quick else args.repeats
    use_cores()
    try:
        bundle = sky.open_bundle(args.bundle)
        decode = measure_decode(bundle, args.threads, repeats)
        encode = measure_encode(bundle, args.threads, max(2, repeats // 10))
    except sky.SkyEyeError as error:
        print(f"roofline: {error}", file=sys.stderr)
        return error.exit_code
    report(
        "roofline",
        {
            "bundle": args.bundle.name if args.bundle else "packaged",
            "ratio": min(decode["share"], encode["share"]),
            "decode": decode,
            "encode": encode,
            "threads": args.threads,
        },
    )
    return 0


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Of one call, the first left out."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure_decode(bundle: sky.Bundle, threads: int, repeats: int) -> dict[str, float]:
    """One token, one token of each of several sequences, and the memory."""
    path = bundle.language_file(bundle.manifest.language_variant())
    weights = read_weight_bytes(path)
    sequences = 4
    model = LlamaModel(path)
    context = LlamaContext(model, ContextOptions(CONTEXT, sequences, Threads(threads, threads)))
    try:
        ids = list(range(300, 300 + FILLED))
        for number in range(sequences):
            context.decode_tokens(number, 0, ids)

        def step(together: int) -> None:
            context.decode([Tokens(number, FILLED, [301]) for number in range(together)])
            for number in range(together):
                context.remove(number, FILLED)

        alone = median_seconds(lambda: step(1), repeats)
        side_by_side = median_seconds(lambda: step(sequences), repeats)
    finally:
        context.close()
        model.close()
    memory = bandwidth(threads, 3 if repeats < 50 else 15)
    return {
        "share": weights / alone / memory,
        "batch": side_by_side / (sequences * alone),
        "token_ms": 1000 * alone,
        "weights_mib": weights / 2**20,
        "gib_per_second": weights / alone / 2**30,
        "memory_gib_per_second": memory / 2**30,
    }


def read_weight_bytes(gguf: Path) -> int:
    """Bytes that a token needs: all matrices; of an embedding that is no output matrix, a row."""
    from gguf import GGUFReader

    sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(str(gguf)).tensors}
    if "output.weight" in sizes:
        del sizes["token_embd.weight"]
    return sum(sizes.values())


def bandwidth(threads: int, repeats: int) -> float:
    """Bytes per second of summing an array that no cache holds, by so many threads."""
    numbers = np.ones(STREAM_BYTES // 8)
    parts = np.array_split(numbers, threads)

    def read() -> None:
        workers = [threading.Thread(target=part.sum) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return STREAM_BYTES / median_seconds(read, repeats)


def measure_encode(bundle: sky.Bundle, threads: int, repeats: int) -> dict[str, float]:
    """A whole encoding, and the matrix products in it."""
    path = bundle.vision_file(bundle.manifest.vision_variant())
    side = bundle.spec.vision.image_size
    pixels = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    session = open_session(str(path), threads)
    name = session.get_inputs()[0].name
    whole = median_seconds(lambda: session.run(None, {name: pixels}), repeats)
    products = find_products(path, pixels)
    bare = operations = 0.0
    for (operator, left, right), count in products.items():
        bare += count * product_seconds(operator, left, right, threads, repeats)
        operations += count * 2 * float(np.prod(left)) * right[-1]
    return {
        "share": bare / whole,
        "encode_ms": 1000 * whole,
        "products_ms": 1000 * bare,
        "products": float(sum(products.values())),
        "gflop": operations / 1e9,
        "gflop_per_second": operations / whole / 1e9,
    }


def open_session(model: str | bytes, threads: int) -> Any:
    """As the runtime opens its encoder."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def find_products(path: Path, pixels: np.ndarray) -> Counter[Product]:
    """Every product of matrices in the graph, with the shapes that it really has."""
    model = onnx.load(str(path))  # with what lies beside it
    nodes = [n for n in model.graph.node if n.op_type in ("MatMul", "MatMulInteger", "Gemm")]
    known = {each.name: tuple(each.dims) for each in model.graph.initializer}
    wanted = sorted({name for n in nodes for name in n.input[:2]} - known.keys())
    outputs = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=each) for each in wanted)
    session = open_session(model.SerializeToString(), 1)
    values = session.run(wanted, {session.get_inputs()[0].name: pixels})
    known |= {name: value.shape for name, value in zip(wanted, values, strict=True)}
    assert outputs
    return Counter((n.op_type, known[n.input[0]], shape_right(n, known)) for n in nodes)


def shape_right(node: Any, known: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Of the second matrix, as it is multiplied."""
    shape = known[node.input[1]]
    turned = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return shape[::-1] if turned else shape


def product_seconds(
    operator: str, left: tuple[int, ...], right: tuple[int, ...], threads: int, repeats: int
) -> float:
    """Of one product in a graph of its own; the right side is a constant where it is a matrix."""
    whole = operator == "MatMulInteger"
    kinds = (TensorProto.UINT8, TensorProto.INT8) if whole else (TensorProto.FLOAT,) * 2
    types = (np.uint8, np.int8) if whole else (np.float32, np.float32)
    random = np.random.default_rng(0)
    first, second = (
        random.integers(0, 64, shape).astype(kind)
        for shape, kind in zip((left, right), types, strict=True)
    )
    constant = len(right) == 2
    inputs = [helper.make_tensor_value_info("left", kinds[0], left)]
    inputs += [] if constant else [helper.make_tensor_value_info("right", kinds[1], right)]
    kind = TensorProto.INT32 if whole else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if whole else "MatMul", ["left", "right"], ["out"])],
        "product",
        inputs,
        [helper.make_tensor_value_info("out", kind, None)],
        [onnx.numpy_helper.from_array(second, "right")] if constant else [],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = open_session(model.SerializeToString(), threads)
    feed = {"left": first} | ({} if constant else {"right": second})
    return median_seconds(lambda: session.run(None, feed), repeats)


if __name__ == "__main__":
    sys.exit(main())
