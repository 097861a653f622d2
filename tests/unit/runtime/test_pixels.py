"""Decoded pictures become the RGB that a player would show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from skyeye_edge.runtime.sources.pixels import Converter, turned

ONE = 1 << 16  # 1 as FFmpeg's matrices write it
PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize(
    ("matrix", "transpose"),
    [
        pytest.param((0, ONE, 0, -ONE, 0, 0, 0, 0, 0), Image.Transpose.ROTATE_270, id="clockwise"),
        pytest.param((0, -ONE, 0, ONE, 0, 0, 0, 0, 0), Image.Transpose.ROTATE_90, id="anti"),
        pytest.param((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 0), Image.Transpose.ROTATE_180, id="half"),
        pytest.param((-ONE, 0, 0, 0, ONE, 0, 0, 0, 0), Image.Transpose.FLIP_LEFT_RIGHT, id="flip"),
        pytest.param((0, ONE, 0, ONE, 0, 0, 0, 0, 0), Image.Transpose.TRANSPOSE, id="transpose"),
    ],
)
def test_a_display_matrix_turns_the_picture_as_pillow_does(
    matrix: tuple[int, ...], transpose: Image.Transpose
) -> None:
    expected = np.asarray(Image.fromarray(PICTURE).transpose(transpose))

    upright = turned(PICTURE, matrix)

    assert np.array_equal(upright, expected)


def test_an_oblique_display_matrix_leaves_the_picture_as_it_is() -> None:
    assert np.array_equal(turned(PICTURE, (ONE, ONE, 0, -ONE, ONE, 0, 0, 0, 0)), PICTURE)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_clip_comes_out_with_its_red_corner_where_players_show_it(
    rotation: int, make_clip: Callable[..., Path]
) -> None:
    path = make_clip([0], rotation=rotation)
    corners = {90: (-1, 0), 180: (-1, -1), -90: (0, -1)}  # row, column of the former top left

    with av.open(str(path)) as container:
        rgb = Converter().upright_rgb(next(container.decode(video=0)))

    red, green, _ = rgb[corners[rotation]].astype(int)
    assert rgb.shape == ((96, 160, 3) if rotation == 180 else (160, 96, 3))
    assert (red > 200, green < 60) == (True, True)


@pytest.mark.parametrize(("height", "matrix"), [(720, "ITU709"), (480, "ITU601")])
def test_untagged_video_is_read_as_cameras_of_its_size_write_it(
    height: int, matrix: str, tmp_path: Path
) -> None:
    green = np.zeros((height, 64, 3), np.uint8)
    green[...] = (0, 255, 0)
    path = tmp_path / "untagged.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        picture = av.VideoFrame.from_ndarray(green, "rgb24").reformat(
            format="yuv420p", dst_colorspace=matrix
        )
        picture.colorspace = 2
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))

    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0))
        rgb = Converter().upright_rgb(decoded)

    assert decoded.colorspace == 2
    assert np.abs(rgb.reshape(-1, 3).mean(0) - (0, 255, 0)).max() < 6
