"""The flight over a procedural world: a file that others can read, and its truth."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.data.synthetic import VideoTruth, render_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> VideoTruth:
    path = tmp_path_factory.mktemp("film") / "flight.mp4"
    return render_video(1_000_011, path, seconds=2.0, fps=10, size=(320, 180))


@pytest.fixture(scope="module")
def pictures(film: VideoTruth) -> list[np.ndarray]:
    with av.open(str(film.path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_file_is_h264_with_the_stated_size_and_rate(film: VideoTruth) -> None:
    with av.open(str(film.path)) as container:
        stream = container.streams.video[0]

        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == film.size == (320, 180)
        assert stream.average_rate == 10


def test_there_is_a_truth_for_every_frame(film: VideoTruth, pictures: list[np.ndarray]) -> None:
    assert len(pictures) == len(film.frames) == 20
    assert [frame.index for frame in film.frames] == list(range(20))
    assert film.frames[-1].time == pytest.approx(1.9)


def test_the_red_car_is_red_where_its_box_says(
    film: VideoTruth, pictures: list[np.ndarray]
) -> None:
    for frame, picture in zip(film.frames, pictures, strict=True):
        boxes = [box for text, box in frame.phrases if text == "the red car"]
        left, top, right, bottom = (round(edge) for edge in boxes[0])
        inside = picture[top:bottom, left:right].reshape(-1, 3).astype(int)
        is_red = (inside[:, 0] > 1.6 * inside[:, 1]) & (inside[:, 0] > 90)
        assert is_red.mean() > 0.25


def test_the_camera_moves_over_the_world(film: VideoTruth) -> None:
    first, last = (
        {one.number: one.xyxy for one in frame.objects if one.kind == "building"}
        for frame in (film.frames[0], film.frames[-1])
    )

    shifts = [last[number][0] - first[number][0] for number in first.keys() & last.keys()]
    assert shifts and max(shifts) < -5


def test_nothing_called_absent_is_in_any_frame(film: VideoTruth) -> None:
    said = {text for frame in film.frames for text, _ in frame.phrases}

    assert not said & {f"the {text.removeprefix('the ')}" for text in film.absent}


def test_a_phrase_means_one_region_in_each_frame(film: VideoTruth) -> None:
    for frame in film.frames:
        texts = [text for text, _ in frame.phrases]
        assert len(texts) == len(set(texts))
        assert 3 <= len(frame.captions) <= 5


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        pytest.param(0.0, (320, 180), id="no time"),
        pytest.param(1.0, (321, 180), id="odd width"),
        pytest.param(1.0, (180, 320), id="upright"),
    ],
)
def test_a_film_that_cannot_be_made_is_refused(
    seconds: float, size: tuple[int, int], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="video"):
        render_video(1_000_000, tmp_path / "a.mp4", seconds, 10, size=size)

    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        render_video(1_000_000, tmp_path / "nowhere" / "a.mp4", 0.2, 10, size=(64, 36))
