"""Pixel values are those that the encoder was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skyeye_edge.core.preprocess import normalise, preprocess
from skyeye_edge.core.spec import PreprocessSpec, VisionSpec

RGB = npt.NDArray[np.uint8]
REDUCED = PreprocessSpec(resize="pillow-bicubic-reduced")


def picture(width: int, height: int, seed: int = 0) -> RGB:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return levels.astype(np.uint8)


def test_pixel_values_equal_those_of_the_published_processor(shared: Path) -> None:
    torch = pytest.importorskip("torch")
    stored = torch.load(shared / "reference" / "vision_ref.pt", weights_only=True)
    rgb, expected = stored["source_uint8_hwc"].numpy(), stored["pixel_values"].numpy()

    pixels = preprocess(rgb, VisionSpec(448, 256, 32))

    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 1e-6


def test_reducing_first_changes_large_frames_little_and_small_ones_not_at_all(
    shared: Path,
) -> None:
    plain, reduced = VisionSpec(192, 36, 8), VisionSpec(192, 36, 8, REDUCED)
    for file in sorted((shared / "data" / "drone" / "images").iterdir())[:5]:
        seen = Image.open(file).convert("RGB")
        large, small = (np.asarray(seen.resize(size)) for size in ((1280, 720), (256, 256)))
        away = 255 * 0.27 * np.abs(preprocess(large, reduced) - preprocess(large, plain))  # levels
        assert 0 < away.mean() < 1
        assert np.array_equal(preprocess(small, reduced), preprocess(small, plain))


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["stretch", "pad", "crop"]))
def test_any_picture_becomes_one_square_of_floats(width: int, height: int, fit: Any) -> None:
    spec = VisionSpec(28, 1, 8, PreprocessSpec(fit=fit))

    pixels = preprocess(picture(width, height), spec)

    assert pixels.shape == (1, 3, 28, 28)
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()


def test_the_frame_is_neither_changed_nor_kept() -> None:
    rgb = picture(28, 28)
    before = rgb.copy()
    rgb.flags.writeable = False

    pixels = preprocess(rgb, VisionSpec(28, 1, 8))

    assert (rgb == before).all()
    assert not np.shares_memory(pixels, rgb)


def test_channels_are_red_green_blue_and_rows_go_down() -> None:
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 1] = (255, 0, 0)
    plain = PreprocessSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    pixels = preprocess(rgb, VisionSpec(2, 1, 8, plain))

    assert np.argwhere(pixels == 1.0).tolist() == [[0, 0, 0, 1]]
    assert pixels.sum() == 1.0


@given(st.integers(0, 2**32 - 1))
def test_the_table_equals_the_arithmetic(seed: int) -> None:
    rgb, spec = picture(5, 4, seed), PreprocessSpec()

    values = normalise(rgb, spec)

    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    expected = (rgb.astype(np.float32) / 255 - mean) / std
    assert np.array_equal(values, expected.transpose(2, 0, 1))


def test_a_batch_is_normalised_as_its_pictures_are() -> None:
    batch = np.stack([picture(5, 4, seed) for seed in (1, 2)])

    values = normalise(batch, PreprocessSpec())

    assert values.shape == (2, 3, 4, 5)
    assert np.array_equal(values[1], normalise(batch[1], PreprocessSpec()))


def test_a_view_of_a_larger_picture_is_read_like_its_copy() -> None:
    crop = picture(40, 30)[3:20:2, 5:33, ::-1]

    spec = VisionSpec(14, 1, 8)

    assert np.array_equal(preprocess(crop, spec), preprocess(crop.copy(), spec))


def test_resizing_is_that_of_pillow() -> None:
    rgb = picture(50, 30)
    plain = PreprocessSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    pixels = preprocess(rgb, VisionSpec(14, 1, 8, plain))

    small = Image.fromarray(rgb).resize((14, 14), Image.Resampling.BICUBIC)
    assert np.array_equal(np.rint(pixels[0] * 255).transpose(1, 2, 0), np.asarray(small))


@pytest.mark.parametrize("size", [(61, 40), (40, 61), (33, 33), (400, 31), (13, 7)], ids=str)
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_pixel_values_equal_those_of_llavas_processor(fit: Any, size: tuple[int, int]) -> None:
    module = pytest.importorskip("transformers.models.llava.image_processing_pil_llava")
    side = 28
    theirs = module.LlavaImageProcessorPil(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        do_pad=fit == "pad",
    )
    rgb = picture(*size)

    pixels = preprocess(rgb, VisionSpec(side, 1, 8, PreprocessSpec(fit=fit)))

    expected = theirs(images=[Image.fromarray(rgb)], return_tensors="np")["pixel_values"]
    assert np.abs(pixels - expected).max() <= 1e-5
