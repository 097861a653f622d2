"""What a path or an address means as a sink, and what is said of one that means nothing."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError, MissingExtraError, SkyEyeError
from skyeye_edge.runtime.sinks import open_sink, open_sinks
from skyeye_edge.runtime.sinks.jsonl import JsonlSettings, JsonlStreamSink
from skyeye_edge.runtime.sinks.options import read_settings, split_options


@pytest.mark.parametrize(
    ("what", "place", "options"),
    [
        ("a.jsonl", "a.jsonl", {}),
        ("a.jsonl?fsync=each&keep=3", "a.jsonl", {"fsync": "each", "keep": "3"}),
        ("odd?name.jsonl", "odd?name.jsonl", {}),
        ("mqtt://h/p?ca=%2Fa%26b", "mqtt://h/p", {"ca": "/a&b"}),
        ("rtsp://h/a?token=1?fps=2", "rtsp://h/a?token=1", {"fps": "2"}),
    ],
)
def test_settings_stand_behind_the_last_question_mark(
    what: str, place: str, options: dict[str, str]
) -> None:
    assert split_options(what) == (place, options)


def test_text_and_values_mean_the_same() -> None:
    text = {"fsync": "2.5", "rotate_mib": "64", "keep": "3", "spool": "10"}
    values = {"fsync": 2.5, "rotate_mib": 64, "keep": 3, "spool": 10}

    wanted = JsonlSettings(fsync=2.5, rotate_mib=64.0, keep=3, spool=10)
    assert read_settings(JsonlSettings, text, "a") == wanted
    assert read_settings(JsonlSettings, values, "a") == wanted
    assert read_settings(JsonlSettings, {"fsync": "never"}, "a").fsync == "never"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a.jsonl?fsnyc=each", "no setting is called 'fsnyc', did you mean fsync?"),
        ("a.jsonl?fsync=often", "fsync=often: give never or each or a number"),
        ("a.jsonl?keep=-1", "keep=-1: give a whole number"),
        ("a.mp4?draw=perhaps", "draw=perhaps: give yes or no"),
        ("udp+json://127.0.0.1:5?x=1", "no setting is called 'x'; there are: none"),
        ("notes.txt", "no sink has such a name"),
        ("", "an empty name"),
        ("ftp://host/x", "no sink is called ftp://"),
        ("rtp://host", "say to whom"),
        ("udp://@:5600", "say to whom"),
        ("mqtt://host/a/+/b", "a topic has no + or #"),
    ],
)
def test_what_means_nothing_is_refused_with_what_there_is(
    what: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=re.escape(message)):
        open_sink(what)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_gets_a_file_that_nobody_had(tmp_path: Path) -> None:
    sinks = [open_sink(f"{tmp_path}/new/") for _ in range(2)]
    for sink in sinks:
        sink.close()

    assert len(list((tmp_path / "new").glob("watch-*Z*.jsonl"))) == 2


def test_a_folder_may_have_files_that_are_rotated(tmp_path: Path) -> None:
    open_sink(f"{tmp_path}/new/?rotate_minutes=10").close()

    (path,) = (tmp_path / "new").iterdir()
    assert re.fullmatch(r"watch-\w+Z\.00001\.jsonl", path.name)


def test_a_broker_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "paho"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)  # as import itself says that it is not there

    with pytest.raises(MissingExtraError, match=r"'paho.*\[mqtt\]"):
        open_sink("mqtt://127.0.0.1/uav")


def test_what_was_opened_before_a_wrong_one_is_closed(tmp_path: Path) -> None:
    with pytest.raises(SkyEyeError):
        open_sinks([tmp_path / "a.jsonl", "nothing.txt"])

    with closing(JsonlStreamSink(tmp_path / "a.jsonl")):  # its lock is free
        pass


def test_no_message_shows_a_password() -> None:
    for what in ("mqtt://me:hunter2@host/a/+", "ftp://me:hunter2@host/", "rtp://me:hunter2@:1"):
        with pytest.raises(InputError) as caught:
            open_sink(what)
        assert "hunter2" not in str(caught.value)
