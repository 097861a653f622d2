"""What counts as an image, and how it is turned into a frame."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.images import as_frame, as_frames

RED = (255, 0, 0)


@pytest.fixture
def picture() -> Image.Image:
    """Grey, 4 wide and 2 high, red in the top left corner."""
    image = Image.new("RGB", (4, 2), (90, 90, 90))
    image.putpixel((0, 0), RED)
    return image


def test_a_path_an_array_and_a_pil_image_give_the_same_pixels(
    tmp_path: Path, picture: Image.Image
) -> None:
    path = tmp_path / "picture.png"
    picture.save(path)

    frames = [as_frame(image) for image in (path, str(path), picture, np.asarray(picture))]

    assert all(np.array_equal(frame.rgb, np.asarray(picture)) for frame in frames)
    assert [frame.source for frame in frames] == ["picture.png", "picture.png", "", ""]


def test_a_frame_stays_what_it_is() -> None:
    frame = Frame(np.zeros((2, 4, 3), np.uint8), time=3.0)

    assert as_frame(frame) is frame


def test_an_array_may_be_written_to_afterwards() -> None:
    array = np.zeros((2, 4, 3), np.uint8)

    frame = as_frame(array)
    array[:] = 255

    assert frame.rgb.max() == 0


def test_exif_orientation_turns_the_image(tmp_path: Path, picture: Image.Image) -> None:
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see it
    picture.save(path, exif=exif)

    frame = as_frame(path)

    assert frame.size == (2, 4)
    assert tuple(frame.rgb[0, 1]) == RED  # top left has become top right


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_eight_bit_images_are_converted(picture: Image.Image, mode: str) -> None:
    frame = as_frame(picture.convert(mode))

    assert frame.rgb.shape == (2, 4, 3)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 1), (2, 4, 4)])
def test_grey_arrays_and_arrays_with_transparency_are_converted(shape: tuple[int, ...]) -> None:
    assert as_frame(np.full(shape, 7, np.uint8)).rgb.tolist() == np.full((2, 4, 3), 7).tolist()


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_images_are_refused_with_a_hint(mode: str) -> None:
    with pytest.raises(MediaError, match="convert it to 8-bit RGB first"):
        as_frame(Image.new(mode, (4, 2)))


def test_a_16_bit_colour_file_is_refused_although_pillow_would_cut_it_off(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((2, 4, 3), 40_000, np.uint16))

    with pytest.raises(MediaError, match="8-bit"):
        as_frame(path)


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.zeros((2, 4, 3), np.uint16), id="16 bits"),
        pytest.param(np.zeros((2, 4, 3), np.float32), id="floats"),
        pytest.param(np.zeros((2, 4, 5), np.uint8), id="five bands"),
        pytest.param(np.zeros((3, 2, 4), np.uint8)[None], id="a batch"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), id="no pixel"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InputError, match="array of"):
        as_frame(array)


def test_a_missing_file_is_a_wrong_request_and_a_broken_one_bad_content(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")

    with pytest.raises(InputError, match="no such file") as missing:
        as_frame(tmp_path / "nothing.jpg")
    with pytest.raises(MediaError, match="not a readable image") as broken:
        as_frame(text)

    assert (missing.value.exit_code, broken.value.exit_code) == (2, 1)


def test_an_image_cut_short_is_bad_content(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])

    with pytest.raises(MediaError, match="not a readable image"):
        as_frame(path)


@pytest.mark.parametrize("thing", [None, 7, {"image": 1}])
def test_what_shows_no_image_is_refused(thing: Any) -> None:
    with pytest.raises(InputError, match="is no image"):
        as_frame(thing)


def test_a_folder_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stream the folder"):
        as_frame(tmp_path)


def test_a_list_is_a_clip_and_an_empty_one_is_refused(picture: Image.Image) -> None:
    assert len(as_frames([picture, picture])) == 2
    assert len(as_frames(picture)) == 1
    with pytest.raises(InputError, match="at least one frame"):
        as_frames([])


def test_a_very_large_image_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        as_frame(np.zeros((3, 4097, 3), np.uint8))

    assert "4097 x 3" in caplog.text
