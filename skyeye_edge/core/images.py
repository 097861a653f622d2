"""The only place that turns what users give as an image into a Frame; and writes pictures."""

from __future__ import annotations

import io
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from skyeye_edge.core.address import check_is_no_address
from skyeye_edge.core.arguments import as_path
from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.frame import Frame

# Pillow's readers raise whatever a wrong byte leads them to.
BROKEN = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(struct.error, Image.DecompressionBombError),
)
log = logging.getLogger(__name__)

ImageLike = str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Frame
LARGE = 4096  # pixels of the longer side; the encoder sees a few hundred

_EIGHT_BIT = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"})
_HINT = "convert it to 8-bit RGB first (only you know which bands, and what their range means)"


def as_frames(image: ImageLike | Sequence[ImageLike]) -> tuple[Frame, ...]:
    """One frame, or those of a clip in order.

    Raises:
        InputError: there is no such file, or it is nothing that shows an image.
        MediaError: the content cannot be used.
    """
    if isinstance(image, list | tuple):
        if not image:
            raise InputError("a clip needs at least one frame")
        return tuple(as_frame(each) for each in image)
    return (as_frame(image),)  # type: ignore[arg-type]  # a Sequence that is neither is refused there


def as_frame(image: ImageLike) -> Frame:
    """A frame from a path, a PIL image, a uint8 array (RGB, grey or RGBA), or a frame as it is.

    EXIF orientation is applied; transparency is dropped. Nothing is scaled.

    Raises:
        InputError: there is no such file, or it is nothing that shows an image.
        MediaError: the content cannot be used.
    """
    if isinstance(image, Frame):
        return image
    name = ""
    if isinstance(image, str | os.PathLike):
        check_is_no_address(image)
        name, rgb = Path(image).name, _read(Path(image))
    elif isinstance(image, Image.Image):
        rgb = _to_rgb(image, "PIL image")
    elif isinstance(image, np.ndarray):
        rgb = _array_to_rgb(image)
    else:
        raise InputError(
            f"{type(image).__name__} is no image; give a path, a PIL image, "
            "a (height, width, 3) uint8 RGB array or a Frame"
        )
    if max(rgb.shape) > LARGE:
        log.warning(
            "%s: %d x %d pixels are shrunk to what the model sees, small things are lost; "
            "ask about parts of it",
            name or "image", rgb.shape[1], rgb.shape[0],
        )  # fmt: skip
    return Frame(rgb, source=name)


def _read(path: Path) -> npt.NDArray[np.uint8]:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give one image, or stream the folder")
    try:
        with Image.open(path) as image:
            return _to_rgb(image, str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except PermissionError as error:
        raise InputError(f"{path}: may not be read") from error
    except MediaError:
        raise
    except BROKEN as error:
        raise MediaError(
            f"{path}: not a readable image ({error}); videos go to stream()"
        ) from error


def _to_rgb(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    # A 16-bit PNG opens as RGB with its low bytes cut off, a TIFF of five bands as RGB of three:
    # only the decoder's raw mode still tells.
    raw = " ".join(str(part) for tile in getattr(image, "tile", ()) for part in _flat(tile[3]))
    if image.mode not in _EIGHT_BIT or ";16" in raw or "RGBX" in raw:
        raise MediaError(
            f"{name}: {raw or image.mode} is not 8 bits of grey, palette or RGB; {_HINT}"
        )
    upright = ImageOps.exif_transpose(image)
    return np.array(upright.convert("RGB"))


def _flat(arguments: object) -> tuple[object, ...]:
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _array_to_rgb(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError(
            f"array of {array.dtype}, shape {array.shape}: give (height, width, 3) uint8, RGB; "
            f"{_HINT}"
        )
    if 0 in array.shape:
        raise InputError(f"array of shape {array.shape}: there is no pixel in it")
    if grey:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.array(array[:, :, :3])  # a copy: who gave it may write to it again


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a picture in the format of the name's end; an older file is replaced at the end.

    Raises:
        InputError: there is no such format, or `path` cannot be written.
    """
    path = as_path(path, "path")
    check_is_no_address(path)
    format_name = Image.registered_extensions().get(path.suffix.lower())
    if format_name not in Image.SAVE:
        raise InputError(f"{path}: no picture format is called {path.suffix!r}; use .png or .jpg")
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(image_bytes(image, format_name))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def image_bytes(image: Image.Image, format_name: str) -> bytes:
    """A picture as the bytes of its file."""
    with io.BytesIO() as written:
        image.save(written, format=format_name)
        return written.getvalue()
