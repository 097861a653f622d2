"""Events as JSON Lines and subtitles."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pysubs2
import pytest

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError, OutputError, SkyEyeError
from skyeye_edge.core.events import Event, build_answer, build_state, build_summary
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    TaskResult,
    TextResult,
)
from skyeye_edge.runtime.sinks.captions import CaptionFormat, write_captions
from skyeye_edge.runtime.sinks.cues import answer_lines, build_cues, clock
from skyeye_edge.runtime.sinks.jsonl import JsonlSink
from skyeye_edge.runtime.sinks.output import new_file, replacing

UTC = datetime(2026, 11, 21, tzinfo=timezone.utc)
BOX = Box((1, 2, 3, 4), 0.5)


def answer(time: float, *results: TaskResult) -> Event:
    frame = Frame(np.zeros((6, 8, 3), np.uint8), time, int(time * 10), source="clip.mp4")
    return build_answer([frame], results, Counts(1), UTC, timing_ms={}, model={"name": "m"})


def caption(text: str) -> TextResult:
    return TextResult("caption", "text", text)


END = build_state(SourceChange("ENDED", "end of file", 0, 5.0), "clip.mp4", UTC)
SUMMARY = build_summary(Counts(2), 2, UTC, source="clip.mp4")
FLIGHT = [
    answer(0.0, caption("a harbour & <boats>")),
    answer(2.5, caption("eine Straße --> links"), GroundResult("a boat", "absent", ())),
    END,
    SUMMARY,
]


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        pytest.param([caption("a road")], ("a road",), id="caption"),
        pytest.param([caption("a\n road ")], ("a road",), id="one line per text"),
        pytest.param([caption("")], (), id="no words"),
        pytest.param(
            [TextResult("ask", "text", "yes", question="Is it wet?")], ("Is it wet? yes",), id="ask"
        ),
        pytest.param([ClassifyResult("harbour", "text")], ("harbour",), id="classify"),
        pytest.param(
            [
                GroundResult("a boat", "found", (BOX,), score=0.5),
                caption("a quay"),
                GroundResult("a tank", "absent", ()),
                DetectResult("car", "found", (BOX, BOX)),
            ],
            ("a quay", "a boat: found (0.50) | a tank: absent | car: 2"),
            id="phrases come last, on one line",
        ),
    ],
)
def test_an_answer_is_shown_as_texts_and_one_line_of_phrases(
    results: list[TaskResult], lines: tuple[str, ...]
) -> None:
    assert answer_lines(tuple(results)) == lines


def test_a_cue_lasts_until_the_next_answer_and_the_last_one_until_the_video_ends() -> None:
    cues = list(build_cues(FLIGHT))

    assert [(cue.start, cue.end) for cue in cues] == [(0.0, 2.5), (2.5, 5.0)]


def test_the_last_cue_of_a_torn_recording_ends_all_the_same() -> None:
    cues = list(build_cues(FLIGHT[:2]))

    assert [(cue.start, cue.end) for cue in cues] == [(0.0, 2.5), (2.5, 12.5)]


def test_an_answer_without_words_ends_the_cue_before_it() -> None:
    cues = list(build_cues([answer(0.0, caption("a road")), answer(1.0, caption("")), END]))

    assert [(cue.start, cue.end, cue.lines) for cue in cues] == [(0.0, 1.0, ("a road",))]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "00:00:00.000"),
        (59.9996, "00:01:00.000"),
        (3661.5, "01:01:01.500"),
        (-1, "00:00:00.000"),
    ],
)
def test_times_are_written_to_the_millisecond(seconds: float, text: str) -> None:
    assert clock(seconds, ".") == text


@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_an_independent_reader_gets_times_and_words_back(
    kind: CaptionFormat, tmp_path: Path
) -> None:
    path = tmp_path / f"flight.{kind}"

    write_captions(FLIGHT, path, kind)

    read = pysubs2.load(str(path), format_=kind)
    assert [(cue.start, cue.end) for cue in read] == [(0, 2500), (2500, 5000)]
    assert "Straße" in read[1].plaintext
    assert read[1].plaintext.endswith("a boat: absent")
    assert path.read_text("utf-8").count("-->") == 2


def test_every_event_is_a_line_that_can_be_read_at_once(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "events.jsonl")
    read: list[str] = []
    for event in FLIGHT:
        sink.write(event)
        read.append(
            json.loads((tmp_path / "events.jsonl").read_text("utf-8").splitlines()[-1])["type"]
        )

    assert read == ["answer", "answer", "state", "summary"]
    sink.close()
    sink.close()


def test_lines_are_appended_to_an_earlier_run_or_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lengths = []
    for append in (False, True, False):
        with closing(JsonlSink(path, append=append)) as sink:
            sink.write(END)
        lengths.append(len(path.read_text("utf-8").splitlines()))

    assert lengths == [1, 2, 1]


WORDS_AND_BOXES = [
    answer(
        0.0,
        caption("a\tquay\n"),
        GroundResult("a boat", "found", (BOX,), score=0.5),
        DetectResult("car", "absent", (), score=0.9),
        ClassifyResult("harbour", "text"),
        TextResult("identify", "text", "a crane", box=(1, 2, 3, 4)),
    ),
    answer(1.5, caption("")),
    answer(2.0, caption("a road")),
    SUMMARY,
]


def test_words_alone_are_one_line_per_answer_also_without_words(tmp_path: Path) -> None:
    path = tmp_path / "flight.txt"

    write_captions(WORDS_AND_BOXES, path, "txt")

    assert path.read_text("utf-8").splitlines() == [
        "a quay | harbour | a crane | a boat: found (0.50) | car: absent",
        "",
        "a road",
    ]


def test_a_table_has_a_row_per_text_and_per_box_and_every_row_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "flight.tsv"

    write_captions(WORDS_AND_BOXES, path, "tsv")

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(row["time"], row["task"], row["asked"], row["text"]) for row in rows] == [
        ("0.000", "caption", "", "a quay"),
        ("0.000", "ground", "a boat", ""),
        ("0.000", "detect", "car", ""),
        ("0.000", "classify", "", "harbour"),
        ("0.000", "identify", "", "a crane"),
        ("1.500", "caption", "", ""),
        ("2.000", "caption", "", "a road"),
    ]
    assert [rows[1][edge] for edge in ("left", "top", "right", "bottom", "score")] == [
        "1.0", "2.0", "3.0", "4.0", "0.500",
    ]  # fmt: skip
    assert rows[2]["left"] == ""
    assert {len(line.split("\t")) for line in path.read_text("utf-8").splitlines()} == {12}


@pytest.mark.parametrize("append", [False, True])
def test_a_file_that_another_run_writes_is_left_alone_until_it_is_closed(
    append: bool, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    first = JsonlSink(path)
    first.write(END)
    line = path.read_bytes()

    with pytest.raises(OutputError, match=r"events\.jsonl: another run"):
        JsonlSink(path, append=append)

    assert path.read_bytes() == line
    first.close()
    JsonlSink(path, append=append).close()


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from skyeye_edge.runtime.sinks.jsonl import JsonlSink\n"
        "sink = JsonlSink(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OutputError):
            JsonlSink(path)
        other.kill()

    JsonlSink(path).close()


def test_two_runs_do_not_write_the_same_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "flight.vtt"

    with replacing(path) as part:
        with pytest.raises(OutputError, match="another run"):
            write_captions(FLIGHT, path, "vtt")
        part.write_text("mine")

    assert path.read_text() == "mine"
    assert list(tmp_path.glob("[!.]*")) == [path]


OPENERS: list[Callable[[Path], object]] = [
    lambda path: JsonlSink(path),
    lambda path: write_captions(FLIGHT, path, "srt"),
]


@pytest.mark.parametrize("opener", OPENERS)
def test_a_path_that_cannot_be_written_is_a_wrong_request(
    opener: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be written") as caught:
        opener(tmp_path / "file" / "events")

    assert caught.value.exit_code == 2


def test_a_full_disk_is_named_as_such() -> None:
    sink = JsonlSink(Path("/dev/full"))

    with pytest.raises(SkyEyeError, match="disk is full") as caught:
        sink.write(END)

    assert caught.value.exit_code == 1


@pytest.fixture
def room() -> Iterator[Callable[[int], None]]:
    """A function that limits how long a file may grow, as a full disk does; no root is needed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


LINE = len(END.to_json()) + 1  # bytes


def test_a_line_without_room_leaves_the_lines_before_it_whole(
    tmp_path: Path, room: Callable[[int], None]
) -> None:
    path = tmp_path / "events.jsonl"
    with closing(JsonlSink(path)) as sink:
        sink.write(END)
        room(LINE + LINE // 2)
        with pytest.raises(SkyEyeError):
            sink.write(END)

    assert path.read_text("utf-8") == END.to_json() + "\n"


def test_a_failure_leaves_the_old_file_whole_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "captions.vtt"
    with replacing(path) as part:
        part.write_text("old")

    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError

    assert [file.name for file in tmp_path.glob("[!.]*")] == ["captions.vtt"]
    assert path.read_text() == "old"


def test_two_streams_that_begin_in_the_same_second_have_files_of_their_own(tmp_path: Path) -> None:
    paths = [new_file(tmp_path, "watch-20261121T120000Z", ".jsonl") for _ in range(3)]

    assert [path.name for path in paths] == [
        "watch-20261121T120000Z.jsonl",
        "watch-20261121T120000Z-2.jsonl",
        "watch-20261121T120000Z-3.jsonl",
    ]


def test_what_came_while_a_file_was_made_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "captions.vtt"

    with pytest.raises(OutputError, match="not what skyeye-edge wrote"), replacing(path) as part:
        part.write_text("ours")
        path.write_text("theirs")

    assert path.read_text() == "theirs"
