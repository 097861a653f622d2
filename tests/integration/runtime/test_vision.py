"""ONNX Runtime behind one class: what is not an encoder, and what a neighbour must not change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.bundle import Bundle, open_bundle
from skyeye_edge.core.errors import BackendError, ClosedError
from skyeye_edge.core.preprocess import Pixels
from skyeye_edge.runtime.vision.onnx import OnnxVision, has_cuda


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def vision(bundle: Bundle) -> Iterator[OnnxVision]:
    opened = OnnxVision(bundle.vision_file("auto"), bundle.spec.vision, one_by_one=True)
    yield opened
    opened.close()


@pytest.fixture
def pixels(bundle: Bundle) -> Pixels:
    side = bundle.spec.vision.image_size
    return np.random.default_rng(3).normal(size=(3, 3, side, side)).astype(np.float32)


def test_an_image_becomes_the_visual_tokens_that_the_manifest_says(
    vision: OnnxVision, bundle: Bundle, pixels: Pixels
) -> None:
    tokens = vision.encode(pixels)

    assert tokens.shape == (3, bundle.spec.vision.tokens, bundle.spec.vision.width)
    assert (str(tokens.dtype), vision.backend) == ("float32", "onnxruntime-cpu")


def test_visual_tokens_do_not_depend_on_the_other_images(
    vision: OnnxVision, pixels: Pixels
) -> None:
    together = vision.encode(pixels)

    assert np.array_equal(vision.encode(pixels[1:2])[0], together[1])


@pytest.mark.parametrize(
    "content", [b"", b"a text", b"\x08\x0a" * 40], ids=["empty", "text", "rubbish"]
)
def test_a_file_that_is_no_encoder_is_named(tmp_path: Path, bundle: Bundle, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)

    with pytest.raises(BackendError, match=r"broken\.onnx"):
        OnnxVision(path, bundle.spec.vision)


def test_an_encoder_that_does_not_fit_the_manifest_is_an_error(
    bundle: Bundle, pixels: Pixels
) -> None:
    spec = replace(bundle.spec.vision, width=bundle.spec.vision.width + 1)
    vision = OnnxVision(bundle.vision_file("auto"), spec)

    with pytest.raises(BackendError, match="the manifest says"):
        vision.encode(pixels)


def test_pixels_of_another_size_are_an_error(vision: OnnxVision, pixels: Pixels) -> None:
    with pytest.raises(BackendError, match="ONNX Runtime failed"):
        vision.encode(pixels[:, :, :-3, :-3].copy())


@pytest.mark.skipif(has_cuda(), reason="this ONNX Runtime knows CUDA")
def test_a_gpu_that_is_asked_for_is_never_replaced_in_silence(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match=r"skyeye-edge\[runtime-gpu\]"):
        OnnxVision(bundle.vision_file("auto"), bundle.spec.vision, device="cuda")


def test_a_closed_encoder_says_so(vision: OnnxVision, pixels: Pixels) -> None:
    vision.close()
    vision.close()

    with pytest.raises(ClosedError):
        vision.encode(pixels)
