from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge import AnswerEvent, Box, Frame, GroundResult, InputError
from skyeye_edge.core.events import build_answer
from skyeye_edge.core.frame import Counts
from skyeye_edge.runtime.stills import write_still

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)


def answer_about(index: int, width: int, height: int) -> AnswerEvent:
    """A box in the right lower quarter, on frame `index`."""
    frame = Frame(np.zeros((height, width, 3), np.uint8), index=index)
    box = Box((0.5 * width, 0.5 * height, width - 1.0, height - 1.0), score=0.5)
    results = [GroundResult("a car", "found", (box,))]
    return build_answer([frame], results, Counts(1), UTC, timing_ms={}, model={})


def test_an_answer_is_drawn_on_the_frame_it_is_about(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    clip = make_clip()
    pictures = [tmp_path / "new" / "first.png", tmp_path / "new" / "later.png"]

    write_still(clip, answer_about(0, 160, 96), pictures[0])
    write_still(clip, answer_about(20, 160, 96), pictures[1])

    # the clip's frames carry their number as grey, 3 steps a frame; looked at beside the box
    first, later = (np.asarray(Image.open(path))[60, 40].astype(int) for path in pictures)
    assert (later - first).min() > 40


def test_an_image_keeps_its_size_and_is_left_as_it_was(tmp_path: Path) -> None:
    photo, picture = tmp_path / "photo.png", tmp_path / "drawn.png"
    Image.new("RGB", (90, 60), "green").save(photo)
    before = photo.read_bytes()

    write_still(photo, answer_about(0, 90, 60), picture)

    drawn = np.asarray(Image.open(picture))
    assert drawn.shape == (60, 90, 3)
    assert (drawn != np.asarray(Image.open(photo))).any()
    assert photo.read_bytes() == before


def test_an_answer_about_another_video_is_refused_and_nothing_is_left(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no frame 999"):
        write_still(make_clip(), answer_about(999, 160, 96), tmp_path / "x.png")

    assert list(tmp_path.iterdir()) == []
