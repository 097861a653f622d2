"""Snapshots: pictures of answers in a folder, each with its event."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AlertEvent, AnswerEvent, build_answer, parse_event
from skyeye_edge.core.frame import Counts, Frame
from skyeye_edge.core.results import GroundResult
from skyeye_edge.runtime.sinks import open_sink

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
BOX = Box((8.0, 8.0, 40.0, 40.0), 0.9)


def picture(number: int) -> Frame:
    rgb = np.full((64, 96, 3), number, np.uint8)
    return Frame(rgb, number / 10, number, source="rtsp://10.0.0.7/a")


def answer(frame: Frame, *, found: bool = True) -> AnswerEvent:
    boxes = (BOX,) if found else ()
    result = GroundResult("a boat", "found" if found else "absent", boxes)
    return build_answer([frame], [result], Counts(1), UTC, timing_ms={}, model={})


def alert(frame: Frame) -> AlertEvent:
    return AlertEvent(
        "id", frame.source, 0, frame.time, "2026-11-21T00:00:00.000Z", "smoke", "smoke", "begin",
        "seen", 0.8, ("a",), (frame.index,), frame.size,
    )  # fmt: skip


def test_a_picture_is_kept_with_its_event_under_a_name_that_says_when(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/new/{{source}}-{{index}}-{{time}}.png")
    sink.write(answer(picture(7)), picture(7))

    path = tmp_path / "new" / "rtsp-10.0.0.7-a-00000007-000000.700.png"
    assert np.array_equal(np.asarray(Image.open(path)), picture(7).rgb)
    event = parse_event(path.with_suffix(".json").read_text("utf-8"))
    assert isinstance(event, AnswerEvent) and event.frames == (7,)
    assert len(list(path.parent.iterdir())) == 2  # nothing half written


def test_the_answer_is_drawn_where_that_is_wanted(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/{{index}}.png", draw=True)
    sink.write(answer(picture(7)), picture(7))

    drawn = np.asarray(Image.open(tmp_path / "00000007.png"))
    assert not np.array_equal(drawn, picture(7).rgb)


def test_only_the_newest_pictures_stay_also_those_of_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").touch()
    for kind in ("jpg", "json"):
        (tmp_path / f".00000003.{kind}.part").touch()  # torn by a kill
    for first in (0, 4):
        sink = open_sink(f"{tmp_path}/{{index}}.jpg?keep=3")
        for number in range(first, first + 4):
            sink.write(answer(picture(number)), picture(number))

    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in names if name.endswith("jpg")] == [
        "00000005.jpg", "00000006.jpg", "00000007.jpg", "mine.jpg",
    ]  # fmt: skip
    assert sum(name.endswith("json") for name in names) == 3
    assert not any(name.endswith("part") for name in names)


@pytest.mark.parametrize(
    ("when", "kept"),
    [
        ("answer", ["00000001", "00000002", "00000002.smoke-begin"]),
        ("found", ["00000001", "00000002.smoke-begin"]),
        ("alert", ["00000002.smoke-begin"]),
    ],
)
def test_it_can_be_said_which_answers_are_worth_a_picture(
    when: str, kept: list[str], tmp_path: Path
) -> None:
    sink = open_sink(f"{tmp_path}/{{index}}.jpg?when={when}")
    sink.write(answer(picture(1)), picture(1))
    sink.write(answer(picture(2), found=False), picture(2))
    sink.write(alert(picture(2)), picture(2))

    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == [f"{name}.jpg" for name in kept]


@pytest.mark.parametrize("name", ["shot.jpg", "{time}.jpg", "{index}-{who}.jpg"])
def test_names_that_would_not_differ_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs \{index\}"):
        open_sink(f"{tmp_path}/{name}")


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be written"):
        open_sink(f"{tmp_path}/file/{{index}}.jpg")
