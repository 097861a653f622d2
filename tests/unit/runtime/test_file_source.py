"""Frames of video files, good and bad."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources import open_source
from skyeye_edge.runtime.sources.file import FileSource

MakeClip = Callable[..., Path]


@pytest.fixture(scope="module")
def clip(make_clip: MakeClip) -> Path:
    """Thirty frames, ten a second."""
    return make_clip()


def read(path: Path, every: float = 0.0) -> tuple[list[Frame], SourceChange, Counts]:
    """Frames, the end, and all counts together."""
    with closing(FileSource(path)) as source:
        *frames, end = source.items(every)
    assert isinstance(end, SourceChange)
    kept = [item for item in frames if isinstance(item, Frame)]
    counts = sum((frame.before for frame in kept), Counts(len(kept))) + end.before
    return kept, end, counts


def grey(frame: Frame) -> int:
    """The number of a frame of `make_clip`, read from its pixels (up to 60)."""
    height, width, _ = frame.rgb.shape
    return round((int(np.median(frame.rgb[height // 2 :, width // 4 : width // 2])) - 60) / 3)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mp4", "libx265"),
        ("clip.ts", "libx264"),
        ("clip.mkv", "libx265"),
    ],
)
def test_every_frame_of_a_clip_arrives_once_with_its_time_index_and_pixels(
    name: str, codec: str, make_clip: MakeClip
) -> None:
    frames, end, counts = read(make_clip(name=name, codec=codec))

    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(30)], abs=1e-3)
    assert [grey(frame) for frame in frames] == list(range(30))
    assert (end.state, end.cause, counts) == ("ENDED", "end of file", Counts(30))


def test_frames_are_read_only_and_named_after_their_file(make_clip: MakeClip) -> None:
    frames, _, _ = read(make_clip(name="flight 7.mp4"), every=1.0)

    assert [frame.source for frame in frames] == ["flight 7.mp4"] * 3
    assert not any(frame.rgb.flags.writeable for frame in frames)


def test_a_name_with_a_colon_is_a_file_and_no_address(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(name="12:30.mp4")
    monkeypatch.chdir(path.parent)

    frames, _, _ = read(Path("12:30.mp4"), every=1.0)

    assert len(frames) == 3


def test_frames_that_are_not_due_are_counted_as_skipped_before_the_next_one(
    make_clip: MakeClip,
) -> None:
    frames, end, counts = read(make_clip(), every=1.0)

    assert [(frame.index, frame.before) for frame in frames] == [
        (0, Counts()),
        (10, Counts(9, 9)),
        (20, Counts(9, 9)),
    ]
    assert (end.before, counts) == (Counts(9, 9), Counts(30, 27))


def test_a_variable_frame_rate_is_sampled_by_time_and_not_by_number(make_clip: MakeClip) -> None:
    times_ms = [0, 40, 80, 900, 1000, 1010, 2500, 2530, 4100]

    frames, _, _ = read(make_clip(times_ms), every=1.0)

    assert [round(frame.time * 1000) for frame in frames] == [0, 1000, 2500, 4100]


@pytest.mark.parametrize(("name", "codec"), [("raw.h264", "libx264"), ("raw.hevc", "libx265")])
def test_a_video_without_time_stamps_has_the_time_of_its_frame_rate(
    name: str, codec: str, make_clip: MakeClip
) -> None:
    frames, end, counts = read(make_clip(name=name, codec=codec, ticks=10), every=1.0)

    assert [frame.index for frame in frames] == [0, 10, 20]
    assert [*(frame.time for frame in frames), end.time] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert counts == Counts(30, 27)


def test_the_end_is_when_the_last_frame_has_been_shown(make_clip: MakeClip) -> None:
    _, end, _ = read(make_clip())

    assert end.time == pytest.approx(3.0)


def test_a_turned_clip_gives_turned_frames(make_clip: MakeClip) -> None:
    frames, _, _ = read(make_clip(rotation=-90))

    assert {frame.size for frame in frames} == {(96, 160)}


@pytest.mark.parametrize("name", ["klv_async_0601.ts", "klv_sync_0601.ts"])
def test_flight_metadata_beside_the_video_disturbs_nothing(shared: Path, name: str) -> None:
    frames, end, counts = read(shared / "data" / "clips" / name, every=1.0)

    assert [frame.time for frame in frames] == pytest.approx(list(range(40)))
    assert (end.cause, counts) == ("end of file", Counts(400, 360))


def test_a_clip_that_was_cut_short_gives_its_frames_up_to_the_tear(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    whole = make_clip(options={"movflags": "faststart"}).read_bytes()
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(whole[: len(whole) * 2 // 3])

    frames, end, counts = read(torn)

    assert 5 < len(frames) < 30
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert "damaged or cut short" in end.cause
    assert counts.received == len(frames) + counts.dropped.get("decode", 0)


def test_damage_in_the_middle_costs_frames_but_not_the_rest(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    data = bytearray(make_clip(name="clip.ts").read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(data)

    frames, end, counts = read(damaged)

    assert 5 < len(frames) < 30
    assert frames[-1].time == pytest.approx(2.9, abs=0.01)
    assert end.state == "ENDED"
    assert counts.received == len(frames) + counts.dropped.get("decode", 0)


@pytest.fixture(scope="module")
def flipped(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames of H.264 in which some bits were flipped after the first key frame."""
    data = bytearray(make_clip(range(0, 6000, 100), name="raw.h264", ticks=10).read_bytes())
    chance = random.Random(0)
    for _ in range(15):
        data[chance.randrange(len(data) // 10, len(data))] ^= 1 << chance.randrange(8)
    path = tmp_path_factory.mktemp("flipped") / "flipped.h264"
    path.write_bytes(data)
    return path


def marked(path: Path) -> list[bool]:
    """Which decoded pictures FFmpeg marks."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"  # with other threads it marks others
        return [picture.is_corrupt for picture in container.decode(video=0)]


def test_pictures_that_the_decoder_marks_are_left_out_as_decode_and_told_of_once(
    flipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = [index for index, is_marked in enumerate(marked(flipped)) if not is_marked]

    frames, _, counts = read(flipped)

    assert [frame.index for frame in frames] == expected
    assert counts.dropped["decode"] >= marked(flipped).count(True) > 2
    assert counts.received == len(frames) + counts.dropped["decode"]
    assert caplog.text.count("pictures are damaged") == 1


def test_damaged_pictures_are_given_when_they_are_wanted_and_say_so(flipped: Path) -> None:
    with closing(FileSource(flipped, keep_damaged=True)) as source:
        frames = [item for item in source.items(0.0) if isinstance(item, Frame)]

    is_marked = marked(flipped)
    assert [frame.index for frame in frames] == list(range(len(is_marked)))
    assert all(frame.damaged for frame in frames if is_marked[frame.index])
    assert not any(frame.damaged for frame in frames[: is_marked.index(True)])


def test_what_is_drawn_from_a_damaged_picture_is_called_damaged_up_to_the_next_key_frame(
    flipped: Path,
) -> None:
    frames, _, _ = read(flipped)

    with av.open(str(flipped)) as container:
        keys = [picture.key_frame for picture in container.decode(video=0)]
    after = [frame for frame in frames if frame.damaged]
    assert after
    assert not any(keys[frame.index] for frame in after)


def test_decoding_takes_time_that_is_told(clip: Path) -> None:
    frames, _, _ = read(clip)

    assert all(frame.decoding > 0 for frame in frames)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"these are words, and no video\n" * 50, "not a video", id="text"),
        pytest.param(b"", "not a video", id="empty"),
    ],
)
def test_a_file_that_is_no_video_is_refused_with_its_name(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)

    with pytest.raises(MediaError, match=rf"notes\.mp4.*{message}"):
        FileSource(path)


def test_a_video_without_a_single_frame_is_refused(make_clip: MakeClip) -> None:
    with pytest.raises(MediaError):
        FileSource(make_clip([]))


def test_a_clip_whose_index_was_cut_off_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip().read_bytes()
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(MediaError, match="index is missing"):
        FileSource(torn)


def test_a_missing_file_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file") as caught:
        open_source(tmp_path / "nothing.mp4")

    assert caught.value.exit_code == 2


def test_a_source_is_read_once(make_clip: MakeClip) -> None:
    with closing(FileSource(make_clip())) as source:
        list(source.items(1.0))

        with pytest.raises(InputError, match="already being read"):
            next(source.items(1.0))


def test_a_reader_that_nobody_asks_any_more_ends(clip: Path) -> None:
    source = FileSource(clip)
    items = source.items(0.0)
    next(items)
    (reader,) = [thread for thread in threading.enumerate() if thread.name == f"read {source.name}"]

    del items
    reader.join(timeout=300)

    assert not reader.is_alive()


@settings(max_examples=15, deadline=None)
@given(taken=st.integers(0, 30), every=st.sampled_from([0.0, 0.25, 1.0]))
def test_a_stop_at_any_moment_leaves_no_frame_uncounted(
    clip: Path, taken: int, every: float
) -> None:
    with closing(FileSource(clip)) as source:
        items = source.items(every)
        before = [item for item, _ in zip(items, range(taken), strict=False)]
        source.stop()
        rest = list(items)

    everything = [*before, *rest]
    counts = sum((item.before for item in everything), Counts())
    answered = sum(isinstance(item, Frame) for item in everything)
    assert set(counts.dropped) <= {"closed"}
    assert counts.received == counts.skipped + sum(counts.dropped.values())
    assert counts.received + answered <= 30
    assert not [thread for thread in threading.enumerate() if thread.name == f"read {source.name}"]
