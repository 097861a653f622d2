"""Folders of images as a source."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from skyeye_edge.core.errors import InputError, MediaError
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.sources import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, one of them damaged, and a file that is none."""
    for number, name in enumerate(["b.png", "a.jpg", "d.webp"]):
        Image.new("RGB", (8 + number, 6)).save(tmp_path / name)
    (tmp_path / "c.jpg").write_bytes(b"no image")
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "notes.txt").write_text("no image either")
    return tmp_path


def test_images_come_by_name_a_second_apart(folder: Path) -> None:
    frames = [item for item in open_source(folder).items(1.0) if isinstance(item, Frame)]

    assert [frame.source for frame in frames] == [
        f"{folder.as_posix()}/{name}" for name in ("a.jpg", "b.png", "d.webp")
    ]
    assert [frame.time for frame in frames] == [0.0, 1.0, 3.0]
    assert [frame.index for frame in frames] == [0, 1, 3]


def test_a_damaged_image_is_counted_and_does_not_stop_the_others(folder: Path) -> None:
    *_, last, end = open_source(folder).items(0.0)

    assert last.before == Counts(1, 0, {"decode": 1})
    assert (end.before, end.time) == (Counts(), 4.0)


def test_every_leaves_images_out(folder: Path) -> None:
    (folder / "c.jpg").unlink()

    first, second, end = open_source(folder).items(2.0)

    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert [Path(frame.source).name for frame in (first, second)] == ["a.jpg", "d.webp"]
    assert (second.before, end.before) == (Counts(1, 1), Counts())


def test_a_stop_ends_after_the_image_at_hand(folder: Path) -> None:
    source = open_source(folder)
    items = source.items(0.0)
    next(items)
    source.stop()

    (end,) = items

    assert isinstance(end, SourceChange)
    assert (end.state, end.cause) == ("ENDED", "stopped")


def test_images_of_the_same_name_are_told_apart_by_their_paths_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("A", "B"):
        Path(name).mkdir()
        Image.new("RGB", (8, 6)).save(f"{name}/1.jpg")

    frames = [next(open_source(what).items(0.0)) for what in ("A/1.jpg", Path("B"))]

    assert [frame.source for frame in frames if isinstance(frame, Frame)] == ["A/1.jpg", "B/1.jpg"]


def test_a_single_image_is_a_source_too_and_must_be_readable(folder: Path) -> None:
    frame, _ = open_source(folder / "a.jpg").items(0.0)

    assert isinstance(frame, Frame)
    assert frame.size == (9, 6)
    with pytest.raises(MediaError, match=r"c\.jpg"):
        list(open_source(folder / "c.jpg").items(0.0))


def test_a_folder_without_images_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        open_source(tmp_path)


def test_a_numbered_sequence_is_read_by_number_at_its_rate(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        Image.new("RGB", (number, 8)).save(tmp_path / f"f_{number:03d}.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "other_001.png")

    *frames, end = open_source(tmp_path / "f_%03d.png", options={"framerate": "25"}).items(0.0)

    found = [(item.size[0], item.time) for item in frames if isinstance(item, Frame)]
    assert found == [(1, 0.0), (2, 0.04), (10, 0.08)]
    assert isinstance(end, SourceChange)


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("f_%03d.png", {}, "no image in this folder is named so"),
        ("a_%d.png", {"framerate": "0"}, "give images a second"),
        ("a_%d.png", {"fps": "2"}, "has framerate alone"),
    ],
)
def test_a_sequence_that_cannot_be_read_is_refused(
    name: str, options: dict[str, str], wrong: str, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a_1.png")

    with pytest.raises(InputError, match=wrong):
        open_source(tmp_path / name, options=options)
