"""Decoded pictures to the RGB that the model was trained on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import needs

if TYPE_CHECKING:
    import av

UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
HD_HEIGHT = 720
BT709, BT601 = 1, 5  # AVCOL_SPC_BT709, AVCOL_SPC_BT470BG
LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG


class Converter:
    """Turns decoded pictures into RGB; to be kept for a whole video, in one thread.

    FFmpeg's converter made anew for each picture, with its own threads, took 2 to 20 ms for 720p on
    two busy cores; kept, and in the caller's thread, 0.4 to 0.9 ms.
    """

    def __init__(self) -> None:
        with needs("runtime"):
            from av.video.reformatter import VideoReformatter
        self._reformatter = VideoReformatter()
        self._rotation: float = 0  # degrees, of the picture that the matrix was read from
        self._matrix: tuple[int, ...] | None = None

    def upright_rgb(self, picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB of a decoded picture, turned as a player would show it.

        Source: FFmpeg converts untagged pictures as BT.601 at any size, while HD cameras write
            BT.709; the wrong matrix turns a pure green of 255 into 215.
        """
        untagged_hd = picture.colorspace == UNTAGGED and picture.height >= HD_HEIGHT
        converted = self._reformatter.reformat(
            picture, format="rgb24", src_colorspace=BT709 if untagged_hd else None, threads=1
        )
        # rgb24 is always uint8; PyAV's annotation names every type that other formats have
        rgb = np.asarray(converted.to_ndarray(), np.uint8)
        matrix = self._display_matrix(picture)
        return rgb if matrix is None else turned(rgb, matrix)

    def _display_matrix(self, picture: av.VideoFrame) -> tuple[int, ...] | None:
        # Read only where the rotation changes: PyAV's side data and its picture hold each other, so
        # a picture asked for it stays in memory until Python collects cycles, which let memory grow
        # by tens of MiB with every pass over a 720p clip. (Turned upside down in a mirror, and by
        # nothing else, a picture has rotation 0 and stays as it is.)
        if picture.rotation != self._rotation:
            self._rotation = picture.rotation
            found: Any = picture.side_data.get("DISPLAYMATRIX")
            self._matrix = None if found is None else struct.unpack("=9i", bytes(found))
        return self._matrix

    def yuv(self, rgb: npt.NDArray[np.uint8], matrix: int) -> av.VideoFrame:
        """(H, W, 3) RGB as an encoder wants it: yuv420p in limited range; H and W are even."""
        import av

        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(rgb, "rgb24"),
            format="yuv420p",
            dst_colorspace=matrix,
            dst_color_range=LIMITED_RANGE,
            threads=1,
        )


def turned(rgb: npt.NDArray[np.uint8], matrix: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An image as its display matrix wants it: quarter turns and mirrors; other angles are ignored.

    Args:
        rgb: (H, W, 3).
        matrix: nine numbers a b u, c d v, x y w; a point goes to (a x + c y, b x + d y).
    """
    a, b, _, c, d, *_ = matrix
    if a == d == 0 and b and c:
        rgb, right, down = rgb.swapaxes(0, 1), c, b
    elif b == c == 0 and a and d:
        right, down = a, d
    else:
        return rgb
    rgb = rgb[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(rgb)
