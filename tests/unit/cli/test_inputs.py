from __future__ import annotations

from pathlib import Path

import pytest

from skyeye_edge import InputError
from skyeye_edge.cli.inputs import expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "z.mp4", "c.ts", "notes.txt", ".hidden.png", "a.annotated.png"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_gives_its_images_by_name_and_then_its_videos(folder: Path) -> None:
    names = [path.name for path in expand([folder])]

    assert names == ["a.png", "b.JPG", "c.ts", "z.mp4"]


def test_files_stay_as_they_are_whatever_they_are_called(folder: Path) -> None:
    assert expand([folder / "notes.txt"]) == [folder / "notes.txt"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        expand([tmp_path / "gone.mp4"])


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither an image nor a video"):
        expand([tmp_path])
