"""Pictures that nobody asks about are not decoded, and the others are those of a full decode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sources.file import FileSource, Pictures, read_facts
from skyeye_edge.runtime.sources.timing import Sampler

INTERVALS = (0.0, 0.1, 0.5, 1.0, 3.3)
REGULAR = tuple(range(0, 6000, 100))
VARIABLE = tuple(np.cumsum(np.random.default_rng(0).integers(1, 400, 60)).tolist())

MakeFlight = Callable[..., Path]
Told = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def make_flight(tmp_path_factory: pytest.TempPathFactory) -> MakeFlight:
    """A function that writes a clip over moving ground, so that every picture is its own."""
    ground = np.random.default_rng(1).integers(0, 255, (60, 120, 3), np.uint8)
    ground = ground.repeat(8, axis=0).repeat(8, axis=1)

    def make(
        name: str,
        codec: str,
        times_ms: tuple[int, ...] = REGULAR,
        ticks: int = 1000,
        **options: str,
    ) -> Path:
        path = tmp_path_factory.mktemp("flights") / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height = 160, 96
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = Fraction(1, ticks)
            stream.options = options
            for index, milliseconds in enumerate(times_ms):
                left, top = 7 * index, 3 * index
                view = np.ascontiguousarray(ground[top : top + 96, left : left + 160])
                frame = av.VideoFrame.from_ndarray(view, "rgb24")
                frame.pts = milliseconds * ticks // 1000
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


def told(path: Path, every: float, *, skip: bool) -> Told:
    """All that a source says of a file: its frames with a hash of their pixels, and its end."""
    with closing(FileSource(path, skip=skip)) as source:
        return [
            (item.index, item.epoch, item.time, pixels(item), item.before, item.damaged)
            if isinstance(item, Frame)
            else (item.cause, item.epoch, item.time, item.before)
            for item in source.items(every)
        ]


def pixels(frame: Frame) -> str:
    """A hash of what a frame shows."""
    return blake2b(frame.rgb.tobytes(), digest_size=8).hexdigest()


X264 = {"preset": "ultrafast"}
FLIGHTS = [
    pytest.param("a.mp4", "libx264", {"g": "10", "bf": "0", **X264}, id="a key frame a second"),
    pytest.param("a.mp4", "libx264", {"g": "20", "bf": "3", **X264}, id="B frames"),
    pytest.param(
        "a.mp4", "libx264", {"g": "24", "bf": "5", "x264-params": "b-pyramid=strict"}, id="pyramid"
    ),
    pytest.param("a.ts", "libx264", {"g": "15", "bf": "2"}, id="B frames in a transport stream"),
    pytest.param("a.mkv", "libx264", {"g": "15", "bf": "2"}, id="B frames in Matroska"),
    pytest.param(
        "a.mp4", "libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}, id="open GOPs"
    ),
    pytest.param("a.mp4", "libx264", {"g": "600", "bf": "2"}, id="one key frame"),
    pytest.param("a.mp4", "libx264", {"g": "1", **X264}, id="key frames only"),
    pytest.param(
        "a.ts", "libx264", {"g": "15", "x264-params": "intra-refresh=1"}, id="intra refresh"
    ),
    pytest.param("a.ts", "libx264", {"g": "15", "flags": "+ildct+ilme"}, id="fields"),
    pytest.param("a.mp4", "libx265", {"g": "12", "preset": "fast"}, id="H.265, open GOPs"),
    pytest.param(
        "a.ts", "libx265", {"x265-params": "keyint=15:open-gop=0:bframes=4"}, id="H.265 in a TS"
    ),
    pytest.param(
        "a.mkv", "libx265", {"x265-params": "keyint=20:temporal-layers=2"}, id="H.265 in layers"
    ),
    pytest.param("a.avi", "mjpeg", {}, id="single pictures"),
    pytest.param("a.mp4", "mpeg4", {"g": "12", "bf": "2"}, id="a codec of which nothing is known"),
    pytest.param("a.h264", "libx264", {"g": "12", "bf": "2"}, id="no time stamps"),
]


@pytest.mark.parametrize("times_ms", [REGULAR, VARIABLE], ids=["regular", "variable"])
@pytest.mark.parametrize(("name", "codec", "options"), FLIGHTS)
def test_what_is_asked_about_is_what_a_full_decode_gives(
    name: str,
    codec: str,
    options: dict[str, str],
    times_ms: tuple[int, ...],
    make_flight: MakeFlight,
) -> None:
    path = make_flight(name, codec, times_ms, **options)

    for every in INTERVALS:
        assert told(path, every, skip=True) == told(path, every, skip=False)


@pytest.mark.parametrize("every", INTERVALS)
@pytest.mark.parametrize("name", ["boat_hover.mp4", "wakeboard_fast.mp4", "klv_sync_0601.ts"])
def test_real_flights_are_asked_about_as_after_a_full_decode(
    shared: Path, name: str, every: float
) -> None:
    path = shared / "data" / "clips" / name

    assert told(path, every, skip=True) == told(path, every, skip=False)


@pytest.fixture(scope="module")
def hierarchical(make_flight: MakeFlight) -> Path:
    """Sixty pictures, many of which are drawn from pictures to come."""
    return make_flight("a.mp4", "libx264", VARIABLE, g="17", bf="4")


@settings(max_examples=25)
@given(every=st.floats(0.001, 20.0))
def test_any_interval_asks_about_the_same_frames(hierarchical: Path, every: float) -> None:
    assert told(hierarchical, every, skip=True) == told(hierarchical, every, skip=False)


@pytest.mark.parametrize(
    ("options", "least"),
    [
        pytest.param({"g": "10", "bf": "0"}, 54, id="all but the key frame of each second"),
        pytest.param({"g": "20", "bf": "0"}, 27, id="what follows the last that is due"),
        pytest.param({"g": "600", "bf": "2"}, 15, id="what no other picture is drawn from"),
    ],
)
def test_what_nobody_needs_is_not_decoded(
    options: dict[str, str], least: int, make_flight: MakeFlight
) -> None:
    path = make_flight("a.mp4", "libx264", **options)

    pictures = list(Pictures(path, read_facts(path)).asked(Sampler(1.0)))

    assert len(pictures) == 60
    assert sum(picture is None for picture, _ in pictures) >= least


def test_a_recording_that_begins_in_the_middle_is_read_as_without_skipping(
    shared: Path, tmp_path: Path
) -> None:
    whole = (shared / "data" / "clips" / "klv_async_0601.ts").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[188 * 1000 :])

    assert told(cut, 1.0, skip=True) == told(cut, 1.0, skip=False)


def test_two_recordings_in_one_file_are_told_apart_by_their_epochs(
    make_flight: MakeFlight, tmp_path: Path
) -> None:
    one = make_flight("a.ts", "libx264", g="15", bf="2").read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(one + one)

    assert told(both, 1.0, skip=True) == told(both, 1.0, skip=False)


def test_damage_that_is_seen_is_counted_and_the_counts_add_up(
    make_flight: MakeFlight, tmp_path: Path
) -> None:
    data = bytearray(make_flight("a.ts", "libx264", g="15", bf="2").read_bytes())
    for place in range(len(data) // 4, len(data) // 2, 1500):
        data[place] ^= 0xFF
    torn = tmp_path / "torn.ts"
    torn.write_bytes(data)

    for every in INTERVALS:
        *frames, end = told(torn, every, skip=True)
        counts = [frame[4] for frame in frames] + [end[-1]]
        skipped = sum(count.skipped for count in counts)
        dropped = sum(sum(count.dropped.values()) for count in counts)
        assert sum(count.received for count in counts) == skipped + dropped
        assert [frame[0] for frame in frames] == sorted({frame[0] for frame in frames})
        assert len(frames) + skipped <= 60
