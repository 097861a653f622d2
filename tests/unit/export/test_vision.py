"""The vision side as ONNX, held against PyTorch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from skyeye_edge.core.errors import InputError
from skyeye_edge.export.onnx_graph import (
    WeightlessGraph,
    quantise_matrices,
    strip,
    write_onnx,
)
from skyeye_edge.export.vision import (
    VISION_VARIANTS,
    check_vision_variants,
    export_vision,
)
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import read_contents
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.model.tensors import lazy


@pytest.fixture(scope="module")
def files(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vision")
    return dict(export_vision(read_contents(checkpoint), VISION_VARIANTS, folder).items())


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(5, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def run(path: Path, pixels: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (tokens,) = session.run(["visual_tokens"], {"pixel_values": pixels.numpy()})
    return np.asarray(tokens)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_fp32_equals_pytorch_for_any_batch(
    files: dict[str, Path], random_model: SkyEyeModel, pixels: torch.Tensor, batch: int
) -> None:
    with torch.no_grad():
        expected = random_model.encode_image(pixels[:batch]).numpy()

    found = run(files["fp32"], pixels[:batch])

    assert found.shape == (batch, 4, 256)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(
    "config", [AlignerConfig("mlp", 2, 3), AlignerConfig("qformer", 4, 2)], ids=str
)
def test_every_aligner_is_exported(
    random_model: SkyEyeModel, pixels: torch.Tensor, tmp_path: Path, config: AlignerConfig
) -> None:
    model = copy.deepcopy(random_model)
    model.renew_aligner(config)
    with torch.no_grad():
        expected = model.eval().encode_image(pixels[:1]).numpy()

    contents = read_contents(model.save_checkpoint(tmp_path / "checkpoint"))
    paths = export_vision(contents, ("fp32",), tmp_path)

    assert np.abs(run(paths["fp32"], pixels[:1]) - expected).max() < 1e-4


@pytest.mark.parametrize(("variant", "limit"), [("fp16", 0.005), ("int8", 0.05)])
def test_smaller_variants_stay_close_and_speak_float32(
    files: dict[str, Path],
    random_model: SkyEyeModel,
    pixels: torch.Tensor,
    variant: str,
    limit: float,
) -> None:
    with torch.no_grad():
        expected = random_model.encode_image(pixels).numpy()

    found = run(files[variant], pixels)

    assert found.dtype == np.float32
    assert np.abs(found - expected).mean() / expected.std() < limit


def test_variants_are_really_smaller(files: dict[str, Path]) -> None:
    full, half, small = (files[v].stat().st_size for v in ("fp32", "fp16", "int8"))

    assert half < 0.6 * full
    assert small < 0.5 * full


@pytest.mark.parametrize("variant", VISION_VARIANTS)
def test_files_say_nothing_about_where_they_were_made(files: dict[str, Path], variant: str) -> None:
    content = files[variant].read_bytes()

    found = [
        trace for trace in (b'.py"', b"site-packages", b"/export/", b"skyeye") if trace in content
    ]

    assert found == []
    assert str(Path.cwd()).encode() not in content


@pytest.mark.parametrize("variant", VISION_VARIANTS)
def test_files_need_opset_20_and_standard_operators_only(
    files: dict[str, Path], variant: str
) -> None:
    model = onnx.load(str(files[variant]))

    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]


def test_large_weights_lie_beside_the_graph_and_are_found(
    checkpoint: Path,
    files: dict[str, Path],
    pixels: torch.Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skyeye_edge.export.onnx_graph.INLINE_BYTES", 1000)

    export_vision(read_contents(checkpoint), ("fp32",), tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == {
        "vision.fp32.onnx",
        "vision.fp32.onnx.data",
    }
    assert np.array_equal(run(tmp_path / "vision.fp32.onnx", pixels), run(files["fp32"], pixels))


def test_stripping_reaches_every_node_and_value() -> None:
    node = onnx.helper.make_node("Identity", ["a"], ["b"], doc_string="made in /home/somebody")
    value = onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1], "/home/somebody")
    graph = onnx.helper.make_graph([node], "g", [value], [value], doc_string="/home/somebody")
    model = onnx.helper.make_model(graph, doc_string="/home/somebody")
    onnx.helper.set_model_props(model, {"path": "/home/somebody"})

    strip(model)

    assert b"somebody" not in model.SerializeToString()


def test_variants_are_checked_before_any_work() -> None:
    assert check_vision_variants(["int8", "fp32", "int8"]) == ("int8", "fp32")
    with pytest.raises(InputError, match="fp32, fp16, int8"):
        check_vision_variants(["int4"])
    with pytest.raises(InputError, match="no vision variant"):
        check_vision_variants([])


def test_products_that_follow_each_other_at_once_are_quantised_too(tmp_path: Path) -> None:
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [make("MatMul", ["a", "v"], ["b"]), make("MatMul", ["b", "w"], ["c"])]
    ends = value("a", onnx.TensorProto.FLOAT, [1, 8]), value("c", onnx.TensorProto.FLOAT, [1, 8])
    graph = onnx.helper.make_graph(nodes, "g", [ends[0]], [ends[1]])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    weights = {name: lazy(torch.eye(8)) for name in ("v", "w")}

    write_onnx(quantise_matrices(WeightlessGraph(model, weights)), tmp_path / "twice.onnx")

    session = onnxruntime.InferenceSession(tmp_path / "twice.onnx")
    given = np.linspace(-1, 1, 8, dtype=np.float32)[None]
    (found,) = session.run(None, {"a": given})
    assert np.abs(found - given).max() < 0.02
