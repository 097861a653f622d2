"""Other people's programs read what the command line wrote about a clip."""

from __future__ import annotations

import json
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import pysubs2
import pytest
from PIL import Image

from skyeye_edge import AnswerEvent, parse_event
from skyeye_edge.cli import main


@pytest.fixture(scope="module")
def written(demo_clip: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of `caption --annotate`."""
    folder = tmp_path_factory.mktemp("written")
    command = ["caption", str(demo_clip), "--phrase", "a car", "--annotate", "--quiet"]
    assert main([*command, "--every", "2", "-o", str(folder), "--bundle", str(tiny_bundle)]) == 0
    return folder


def words(text: str) -> list[str]:
    """Letters and digits alone."""
    return re.findall(r"\w+", text)


@pytest.mark.parametrize("suffix", ["vtt", "srt"])
def test_pysubs2_reads_one_subtitle_per_caption_at_its_time(
    suffix: str, written: Path, demo_clip: Path
) -> None:
    lines = (written / f"{demo_clip.stem}.skyeye.jsonl").read_text("utf-8").splitlines()
    events = [event for event in map(parse_event, lines) if isinstance(event, AnswerEvent)]
    captions = [(event.time, event.results[0].text.strip()) for event in events]

    subtitles = pysubs2.load(str(written / f"{demo_clip.stem}.skyeye.{suffix}"))

    assert [each.start for each in subtitles] == [round(time * 1000) for time, _ in captions]
    assert all(each.end > each.start for each in subtitles)
    for subtitle, (_, caption) in zip(subtitles, captions, strict=True):
        # marks of the subtitle formats, which a caption has none of as a rule, are replaced
        assert words(subtitle.plaintext.splitlines()[0]) == words(caption)


def frame_times(video: Path) -> list[Fraction]:
    """Seconds of every frame, as ffprobe counts them, relative to the first."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    command += ["-show_entries", "frame=pts:stream=time_base", str(video)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    base = Fraction(found["streams"][0]["time_base"])
    times = [frame["pts"] * base for frame in found["frames"]]
    return [time - times[0] for time in times]


@pytest.mark.ffprobe
def test_the_annotated_video_has_every_frame_within_a_millisecond(
    written: Path, demo_clip: Path
) -> None:
    source = frame_times(demo_clip)

    drawn = frame_times(written / f"{demo_clip.stem}.annotated.mp4")

    assert len(drawn) == len(source)
    assert max(abs(a - b) for a, b in zip(drawn, source, strict=True)) < Fraction(1, 1000)


@pytest.mark.ffprobe
@pytest.mark.parametrize("clip", ["boat_hover.mp4", "klv_async_0601.ts", "klv_sync_0601.ts"])
def test_real_clips_keep_their_frames_and_times(
    clip: str, shared: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    video = shared / "data" / "clips" / clip
    command = ["caption", str(video), "--annotate", "--quiet", "--every", "9"]

    assert main([*command, "-o", str(tmp_path), "--bundle", str(tiny_bundle)]) == 0

    source = frame_times(video)
    drawn = frame_times(tmp_path / f"{video.stem}.annotated.mp4")
    assert len(drawn) == len(source)
    assert max(abs(a - b) for a, b in zip(drawn, source, strict=True)) < Fraction(1, 1000)


def test_the_annotated_image_is_a_png_that_others_open(tiny_bundle: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (90, 60), "green").save(photo)

    command = ["caption", str(photo), "--annotate", "--quiet", "-o", str(tmp_path)]
    assert main([*command, "--bundle", str(tiny_bundle)]) == 0

    with Image.open(tmp_path / "photo.annotated.png") as drawn:
        drawn.load()
        assert (drawn.format, drawn.size) == ("PNG", (90, 60))
