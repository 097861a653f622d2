from __future__ import annotations

from pathlib import Path

import pytest

from skyeye_edge import InputError, MediaError
from skyeye_edge.cli.inputs import Entry, check_readable, expand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "z.mp4", "c.ts", "notes.txt", ".hidden.png", "a.annotated.png"):
        (tmp_path / name).touch()
    return tmp_path


def names(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.path.name for entry in entries]


def test_a_folder_gives_its_images_by_name_and_then_its_videos(folder: Path) -> None:
    assert names(expand([folder]).entries) == ["a.png", "b.JPG", "c.ts", "z.mp4"]


def test_other_files_of_a_folder_are_counted_but_not_those_we_wrote(folder: Path) -> None:
    (folder / "z.skyeye.srt").touch()

    assert expand([folder]).left_alone == 1


def test_files_stay_as_they_are_whatever_they_are_called(folder: Path) -> None:
    assert expand([folder / "notes.txt"]).entries == (Entry(folder / "notes.txt"),)


def test_a_folder_named_like_an_image_is_no_image(folder: Path) -> None:
    (folder / "d.jpg").mkdir()
    (folder / "d.jpg" / "inside.png").touch()

    assert "d.jpg" not in names(expand([folder]).entries)
    assert names(expand([folder / "d.jpg"]).entries) == ["inside.png"]


def test_folders_are_searched_to_the_bottom_only_where_that_is_wanted(folder: Path) -> None:
    (folder / "100" / "deep").mkdir(parents=True)
    (folder / "100" / "deep" / "z.mp4").touch()
    (folder / "100" / "around").symlink_to(folder)

    flat, deep = expand([folder]).entries, expand([folder], recursive=True).entries

    assert deep == (*flat, Entry(folder / "100" / "deep" / "z.mp4", Path("100", "deep")))


def test_outputs_of_several_folders_do_not_meet(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.mp4").touch()

    found = expand([tmp_path / "A", tmp_path / "B"])

    assert [entry.under for entry in found.entries] == [Path("A"), Path("B")]
    assert expand([tmp_path / "A"]).entries[0].under == Path()


def test_a_link_to_nothing_is_an_entry_that_cannot_be_read(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("nowhere.jpg")

    assert "link.jpg" in names(expand([folder]).entries)
    with pytest.raises(MediaError, match=r"link\.jpg: a link to nothing"):
        check_readable(folder / "link.jpg")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        expand([tmp_path / "gone.mp4"])


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither an image nor a video"):
        expand([tmp_path])
