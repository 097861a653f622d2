from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.errors import MediaError
from skyeye_edge.core.images import as_frame
from skyeye_edge.training.data.record import read_rgb


def with_exif(kind: str) -> bytes:
    """A small picture that says how it is turned."""
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "some software of some length"
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_whatever_byte_is_wrong_an_image_is_read_or_named_as_not_readable(
    kind: str, tmp_path: Path
) -> None:
    whole, file, chance = with_exif(kind), tmp_path / "damaged", random.Random(kind)
    notes = whole.find(b"some software")
    said = set()

    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            place = notes + chance.randint(-90, 60)
            damaged[max(0, min(len(damaged) - 1, place))] = chance.randrange(256)
        file.write_bytes(damaged)
        for read in (read_rgb, as_frame):
            try:
                read(file)
                said.add("read")
            except MediaError as error:
                said.add(str(error).partition(":")[0])

    assert said == {"read", str(file)}
