"""Decoded pictures leave memory as soon as nobody wants them, not when Python collects cycles."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from skyeye_edge.runtime.sources.file import FileSource


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def pictures() -> list[av.VideoFrame]:
    return [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame)]


def test_reading_a_video_keeps_none_of_its_pictures(
    no_collector: None, make_clip: Callable[..., Path]
) -> None:
    source = FileSource(make_clip())
    before = {id(picture) for picture in pictures()}  # that other tests of this process hold

    read = sum(1 for _ in source.items(0))
    source.close()

    kept = [picture for picture in pictures() if id(picture) not in before]
    assert read > 20
    assert len(kept) <= 1
