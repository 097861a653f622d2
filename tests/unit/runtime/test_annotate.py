"""Answers drawn on pictures and videos."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from skyeye_edge.core.answer_drawing import draw_answer
from skyeye_edge.core.boxes import Box
from skyeye_edge.core.drawing import COLOURS
from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.events import AnswerEvent, build_answer
from skyeye_edge.core.frame import Counts, Frame
from skyeye_edge.core.results import GroundResult, TaskResult, TextResult
from skyeye_edge.runtime.annotate import annotate

MakeClip = Callable[..., Path]
Rgb = npt.NDArray[np.uint8]
UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
BOX = Box((40, 30, 120, 70), 0.91)


def answer(index: int, *results: TaskResult, size: tuple[int, int] = (160, 96)) -> AnswerEvent:
    frame = Frame(np.zeros((size[1], size[0], 3), np.uint8), index / 10, index)
    return build_answer([frame], results, Counts(1), UTC, timing_ms={}, model={})


def found(name: str = "a boat", box: Box = BOX) -> GroundResult:
    return GroundResult(name, "found", (box,))


def stamps(path: Path) -> list[float]:
    """Times of all decoded frames relative to the first."""
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    return [time - times[0] for time in times if time is not None and times[0] is not None]


def pictures(path: Path) -> list[Rgb]:
    with av.open(str(path)) as container:
        return [np.asarray(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def test_a_box_is_drawn_where_it_is_and_the_given_picture_stays_as_it_was() -> None:
    rgb = np.full((96, 160, 3), 100, np.uint8)

    drawn = draw_answer(rgb, answer(0, found()))

    assert np.array_equal(drawn[70, 80], COLOURS[0])
    assert np.array_equal(drawn[50, 40], COLOURS[0])
    assert np.array_equal(drawn[50, 80], (100, 100, 100))
    assert (rgb == 100).all()


def test_boxes_are_scaled_to_a_picture_of_another_size() -> None:
    drawn = draw_answer(np.zeros((192, 320, 3), np.uint8), answer(0, found()))

    assert np.array_equal(drawn[140, 160], COLOURS[0])


@pytest.mark.parametrize("height", [360, 1080])
def test_the_caption_is_a_dark_bar_with_white_letters_of_readable_height(height: int) -> None:
    rgb = np.full((height, height * 16 // 9, 3), 240, np.uint8)

    drawn = draw_answer(rgb, answer(0, TextResult("caption", "text", "HHHH"), size=(16, 9)))

    rows = np.flatnonzero((drawn[height * 3 // 4 :] > 250).all(-1).any(-1))
    assert drawn[-1, -1].max() <= 80
    assert 0.02 * height <= len(rows) <= 0.06 * height
    assert (drawn[: height // 2] == 240).all()


@pytest.mark.parametrize(
    "xyxy", [(0, 0, 160, 96), (150, 0, 160, 4), (-50, -9, 900, 700), (5, 5, 5, 5)]
)
def test_boxes_at_and_beyond_the_edge_are_drawn_too(
    xyxy: tuple[float, float, float, float],
) -> None:
    rgb = np.zeros((96, 160, 3), np.uint8)

    drawn = draw_answer(rgb, answer(0, found("a name that is longer than the picture", Box(xyxy))))

    assert drawn.shape == rgb.shape
    assert (drawn == COLOURS[0]).all(-1).any()


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param({"times_ms": [0, 33, 67, 100, 450, 1000, 1001, 5000]}, id="variable rate"),
        pytest.param({"times_ms": range(0, 30, 1)}, id="a thousand frames a second"),
        pytest.param({"codec": "libx265"}, id="H.265"),
        pytest.param({"name": "clip.ts"}, id="transport stream, time does not begin at 0"),
        pytest.param({"size": (162, 98), "codec": "mpeg4"}, id="MPEG-4"),
    ],
)
def test_the_annotated_video_has_the_same_frames_at_the_same_times(
    clip: dict[str, object], make_clip: MakeClip, tmp_path: Path
) -> None:
    video = make_clip(**clip)

    annotate(video, [answer(0, found())], tmp_path / "out.mp4")

    assert stamps(tmp_path / "out.mp4") == pytest.approx(stamps(video), abs=0.001)


def test_an_annotated_raw_stream_lasts_as_long_as_its_frame_rate_says(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    annotate(make_clip(name="raw.h264", ticks=10), [answer(0, found())], tmp_path / "out.mp4")

    written = stamps(tmp_path / "out.mp4")
    assert written == pytest.approx([number / 10 for number in range(30)], abs=0.001)


def test_every_frame_shows_the_latest_answer_and_none_before_the_first(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    left, right = Box((5, 40, 20, 50)), Box((140, 40, 155, 50))
    events = [answer(5, found(box=left)), answer(20, found(box=right))]

    annotate(make_clip(), events, tmp_path / "out.mp4")

    frames = pictures(tmp_path / "out.mp4")
    shown = [orange(rgb[45:55, :25]) + 2 * orange(rgb[45:55, 135:]) for rgb in frames]
    assert shown == [0] * 5 + [1] * 15 + [2] * 10


def orange(rgb: Rgb) -> bool:
    """Whether there is something in the first colour of boxes."""
    red, _, blue = (rgb[..., channel].astype(int) for channel in range(3))
    return bool((red - blue > 90).any())


def test_a_turned_clip_is_written_upright_with_the_box_in_its_place(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    event = answer(0, found(box=Box((40, 100, 60, 120))), size=(96, 160))

    annotate(make_clip(rotation=-90), [event], tmp_path / "out.mp4")

    first = pictures(tmp_path / "out.mp4")[0]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0
    assert first.shape == (160, 96, 3)
    assert orange(first[95:125, 35:65])


def test_colours_of_high_definition_survive(make_clip: MakeClip, tmp_path: Path) -> None:
    video = make_clip([0, 100], size=(1280, 720))

    annotate(video, [], tmp_path / "out.mp4")

    with av.open(str(tmp_path / "out.mp4")) as container:
        picture = next(container.decode(video=0))
    red = np.asarray(picture.to_ndarray(format="rgb24"))[50, 50].astype(int)
    assert picture.colorspace == 1
    assert np.abs(red - (255, 0, 0)).max() < 30


def test_an_odd_size_is_padded_and_not_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    video = make_clip([0, 100], size=(101, 75), codec="libx264", pixel_format="yuv444p")

    annotate(video, [], tmp_path / "out.mp4")

    assert {rgb.shape for rgb in pictures(tmp_path / "out.mp4")} == {(76, 102, 3)}


def test_progress_is_told_frame_by_frame(make_clip: MakeClip, tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []

    annotate(
        make_clip([0, 100, 200]), [], tmp_path / "out.mp4", on_progress=lambda *a: told.append(a)
    )

    assert told == [(1, 0.0), (2, pytest.approx(0.1)), (3, pytest.approx(0.2))]


def test_a_video_that_fails_leaves_no_half_file(make_clip: MakeClip, tmp_path: Path) -> None:
    def fail(frames: int, seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(make_clip(), [], tmp_path / "out.mp4", on_progress=fail)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_wrong_request(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be written") as caught:
        annotate(make_clip(), [], tmp_path / "file" / "out.mp4")

    assert not isinstance(caught.value, MediaError)
