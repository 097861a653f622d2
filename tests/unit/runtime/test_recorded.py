"""What lies in a recording is read, torn or foreign, without harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.runtime.recording import EVENTS, FACTS, find_recordings, read_recording
from skyeye_edge.runtime.sources.packet_tap import make_room
from skyeye_edge.runtime.sources.recorded import read_index

HEAD = {"opening": "a", "entry": True, "codec": "h264", "began": ""}
SHOT = {"index": 7, "epoch": 0, "time": 0.5, "segment": 1, "pts": 180000, "damaged": False}


def write_notes(folder: Path, number: int, *lines: object, packets: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (folder / f"{number:06d}.jsonl").write_text(text, "utf-8")
    if packets:
        (folder / f"{number:06d}.ts").write_bytes(b"")


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    write_notes(tmp_path, 1, HEAD | {"file": "000001.ts"}, SHOT, '{"index": 8, "epo')

    assert read_index(tmp_path).there == {7}


def test_a_torn_line_in_the_middle_is_damage(tmp_path: Path) -> None:
    write_notes(tmp_path, 1, HEAD | {"file": "000001.ts"}, '{"index": 8\n', SHOT)

    with pytest.raises(DataError, match=r"000001\.jsonl, line 2"):
        read_index(tmp_path)


def test_a_note_cannot_lead_out_of_the_recording(tmp_path: Path) -> None:
    (tmp_path / "private.ts").write_bytes(b"x")
    write_notes(tmp_path / "packets", 1, HEAD | {"file": "../private.ts"}, SHOT, packets=False)

    assert read_index(tmp_path / "packets").segments == ()


def test_pictures_drawn_from_a_segment_that_is_gone_are_not_there(tmp_path: Path) -> None:
    write_notes(tmp_path, 1, HEAD | {"file": "000001.ts"}, packets=False)
    write_notes(tmp_path, 2, HEAD | {"file": "000002.ts", "entry": False}, SHOT | {"segment": 2})
    write_notes(tmp_path, 3, HEAD | {"file": "000003.ts"}, SHOT | {"segment": 3, "index": 9})

    index = read_index(tmp_path)

    assert [segment.number for segment in index.segments] == [3]
    assert index.there == {9}


@given(facts=st.binary(max_size=60), events=st.binary(max_size=60))
def test_anything_is_a_recording_or_refused(facts: bytes, events: bytes, tmp_path: Path) -> None:
    (tmp_path / FACTS).write_bytes(facts)
    (tmp_path / EVENTS).write_bytes(events)

    with pytest.raises(DataError):
        read_recording(tmp_path)


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording"):
        find_recordings(tmp_path)


def test_room_is_made_by_the_oldest_segments_of_all_recordings_but_never_the_newest(
    tmp_path: Path,
) -> None:
    for number in range(6):
        folder = tmp_path / f"run-{number % 2}" / "packets"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{number:06d}.ts"
        file.write_bytes(bytes(100))
        os.utime(file, (1000 + number, 1000 + number))

    gone = make_room(tmp_path, 320)
    left = sorted(file.name for file in tmp_path.glob("*/packets/*"))
    all_but_one = make_room(tmp_path, 1)

    assert (gone, left) == (3, ["000003.ts", "000004.ts", "000005.ts"])
    assert all_but_one == 2
