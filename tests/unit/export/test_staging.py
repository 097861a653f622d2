"""A bundle appears whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skyeye_edge.core.errors import BundleError, InputError
from skyeye_edge.export.staging import staged

WRITER = """
import os, signal, sys
from pathlib import Path
from skyeye_edge.export import staging

target, moment = Path(sys.argv[1]), sys.argv[2]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
rename = Path.rename
def renamed(path, goal):
    if moment == "before " + ("old" if goal.name.endswith(".old") and goal.name[0] != "." else
                              "delete" if goal.name.endswith(".old") else "new"):
        die()
    return rename(path, goal)
Path.rename = renamed
with staging.staged(target, replace=True) as folder:
    (folder / "manifest.json").write_text("half")
    if moment == "writing":
        die()
    (folder / "manifest.json").write_text("new")
"""


def write(target: Path, text: str, *, replace: bool = False) -> None:
    with staged(target, replace=replace) as folder:
        (folder / "manifest.json").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(bundle: Path) -> str:
    return (bundle / "manifest.json").read_text()


def killed(target: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, str(target), moment], check=False)
    assert done.returncode == -9


def test_a_finished_folder_takes_its_place_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "bundle", "new")

    assert read(tmp_path / "deep" / "bundle") == "new"
    assert names(tmp_path / "deep") == ["bundle"]


def test_an_existing_target_is_refused_and_untouched(tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")

    with pytest.raises(InputError, match="--replace"):
        write(tmp_path / "bundle", "new")

    assert read(tmp_path / "bundle") == "old"


def test_replacing_leaves_the_new_one_alone(tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")

    write(tmp_path / "bundle", "new", replace=True)

    assert read(tmp_path / "bundle") == "new"
    assert names(tmp_path) == ["bundle"]


def test_replacing_deletes_nothing_but_bundles(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()

    with pytest.raises(InputError, match="not a bundle"):
        write(tmp_path / "photos", "new", replace=True)

    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_an_error_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")

    with pytest.raises(RuntimeError), staged(tmp_path / "bundle", replace=True) as folder:
        (folder / "manifest.json").write_text("half")
        raise RuntimeError

    assert read(tmp_path / "bundle") == "old"
    assert names(tmp_path) == ["bundle"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match="No space left"),
        staged(tmp_path / "bundle") as folder,
        Path("/dev/full").open("w") as full,
    ):
        (folder / "manifest.json").write_text("half")
        full.write("x")
        full.flush()

    assert names(tmp_path) == []


def test_an_impossible_place_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file" / "bundle", "new")


def test_two_exports_to_one_target_do_not_meet(tmp_path: Path) -> None:
    with (
        staged(tmp_path / "bundle") as folder,
        pytest.raises(InputError, match="another export"),
    ):
        (folder / "manifest.json").write_text("new")
        write(tmp_path / "bundle", "other")

    assert read(tmp_path / "bundle") == "new"


@pytest.mark.parametrize("moment", ["writing", "before old", "before delete"])
def test_a_killed_replacement_leaves_one_whole_bundle(tmp_path: Path, moment: str) -> None:
    write(tmp_path / "bundle", "old")

    killed(tmp_path / "bundle", moment)

    assert read(tmp_path / "bundle") == ("new" if moment == "before delete" else "old")


def test_killed_between_the_renames_the_old_one_stands_as_old(tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")

    killed(tmp_path / "bundle", "before new")

    assert not (tmp_path / "bundle").exists()
    assert read(tmp_path / "bundle.old") == "old"


@pytest.mark.parametrize("moment", ["writing", "before old", "before new", "before delete"])
def test_the_next_export_cleans_up_after_a_killed_one(tmp_path: Path, moment: str) -> None:
    write(tmp_path / "bundle", "old")
    killed(tmp_path / "bundle", moment)

    write(tmp_path / "bundle", "newest", replace=True)

    assert read(tmp_path / "bundle") == "newest"
    assert names(tmp_path) == ["bundle"]
