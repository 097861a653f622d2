"""Commands to streams that run, said directly and over a socket; without a model."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AnswerEvent
from skyeye_edge.core.results import TextResult
from skyeye_edge.core.tasks import Ask, Caption, Ground
from skyeye_edge.runtime.alerts import Alert
from skyeye_edge.runtime.control import COMMANDS, Control
from skyeye_edge.runtime.control_socket import LONGEST_LINE, ControlSocket, send_command
from skyeye_edge.runtime.question import Answer, Question
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.streams import Streams
from skyeye_edge.runtime.watching import Watching

PICTURE = np.full((4, 6, 3), 90, np.uint8)


def submit(question: Question, **_: object) -> Future[Answer]:
    done: Future[Answer] = Future()
    done.set_result(Answer((TextResult("caption", "text", "x"),) * len(question.tasks), {}, ()))
    return done


@pytest.fixture
def cameras() -> list[Push]:
    return [Push("left"), Push("right")]


@pytest.fixture
def streams(cameras: list[Push]) -> Iterator[Streams]:
    watching = Watching(submit, {}, skip=True, tasks=(Caption(),), every=0.0)
    with Streams(watching, [(camera, 1.0) for camera in cameras]) as made:
        yield made


def tasks(streams: Streams) -> dict[str, tuple[object, ...]]:
    return {stream.source.name: stream.tasks for stream in streams.streams}


def test_phrases_and_questions_come_and_go_for_all_or_for_one(
    streams: Streams, tmp_path: Path
) -> None:
    control = Control(streams, tmp_path)

    control.obey("phrase  a red boat ")
    control.obey("phrase a red boat")
    control.obey("@left question How many?")
    both = (Caption(), Ground("a red boat"))
    assert tasks(streams) == {"left": (*both, Ask("How many?")), "right": both}
    added = streams.add(Push("later"))
    assert added.tasks == both

    control.obey("forget a red boat")
    assert tasks(streams)["right"] == (Caption(),)
    control.obey("alert smoke; 3 of 5; name=fire")
    assert streams.streams[0].alerts == (Alert("smoke", needed=3, of=5, name="fire"),)
    control.obey("forget fire")
    assert not streams.streams[0].alerts
    control.obey('@right set_tasks [{"task": "classify", "names": ["a", "b"]}]')
    (asked,) = control.obey("@right status")["sources"]
    assert asked["tasks"] == [{"task": "classify", "names": ["a", "b"]}]
    assert asked["prompt_version"] == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "'' is no command"),
        ("jump", "there are status, phrase"),
        ("phrase", "give some words"),
        ("forget smoke", "nothing is asked about 'smoke'; there are: caption"),
        ("forget caption", "at least one task"),
        ("set_tasks", "no JSON"),
        ("set_tasks {}", "give a list"),
        ('set_tasks [{"task": "fly"}]', "one of caption"),
        ("@middle pause", "no such source; there are: "),
        ("snapshot", "no picture has come yet"),
        ("snapshot here.png", "say which"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_changes(
    streams: Streams, tmp_path: Path, line: str, message: str
) -> None:
    before = tasks(streams)

    with pytest.raises(InputError) as refused:
        Control(streams, tmp_path).obey(line)

    assert message in str(refused.value)
    assert tasks(streams) == before and not any(each.is_paused for each in streams.streams)


def test_a_snapshot_is_the_newest_picture_of_each(
    streams: Streams, cameras: list[Push], tmp_path: Path
) -> None:
    for camera in cameras:
        camera.push(PICTURE, time=1.0)
    seen = {next(streams).source for _ in cameras}
    assert seen == {"left", "right"}

    saved = Control(streams, tmp_path).obey("snapshot")

    assert sorted(saved) == [str(tmp_path / f"snapshot-{name}-0.png") for name in ("left", "right")]
    assert all(Path(path).stat().st_size for path in saved)


def test_stop_ends_one_and_then_all(streams: Streams, tmp_path: Path) -> None:
    control = Control(streams, tmp_path)

    assert control.obey("@left stop") == ["left"]
    assert control.obey("@right pause") == ["right"]
    assert control.obey("help")[0].startswith("status: ")
    assert len(control.obey("help")) == len(COMMANDS) + 1
    control.obey("stop")

    assert not any(isinstance(event, AnswerEvent) for event in streams)


@pytest.fixture
def listening(streams: Streams, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control"
    with ControlSocket(path, Control(streams, tmp_path)):
        yield path
    assert not path.exists()


def test_a_socket_obeys_its_owner_alone_line_by_line(streams: Streams, listening: Path) -> None:
    assert stat.S_IMODE(listening.stat().st_mode) == 0o600
    assert sorted(send_command(listening, "pause")) == ["left", "right"]
    assert all(stream.is_paused for stream in streams.streams)
    with pytest.raises(InputError, match="is no command"):
        send_command(listening, "jump")

    with socket.socket(socket.AF_UNIX) as two_at_once:
        two_at_once.connect(os.fspath(listening))
        two_at_once.sendall(b"resume\nphrase a b")
        two_at_once.sendall(b"oat\n\xff\n")
        with two_at_once.makefile("rb") as answers:
            found = [json.loads(answers.readline()) for _ in range(3)]
    assert [each["ok"] for each in found] == [True, True, False]
    assert tasks(streams)["left"] == (Caption(), Ground("a boat"))


def test_a_line_without_end_is_hung_up_on_and_the_next_is_served(listening: Path) -> None:
    with socket.socket(socket.AF_UNIX) as endless:
        endless.connect(os.fspath(listening))
        with pytest.raises(OSError):
            for _ in range(100):
                endless.sendall(b"a" * LONGEST_LINE)

    assert send_command(listening, "status")["lost"] == {}


def test_a_socket_that_is_served_is_not_taken_and_a_dead_one_is(
    streams: Streams, listening: Path, tmp_path: Path
) -> None:
    control = Control(streams, tmp_path)
    with pytest.raises(InputError, match="another program listens there"):
        ControlSocket(listening, control)
    with pytest.raises(InputError, match="nobody listens there"):
        send_command(tmp_path / "nothing", "status")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="no socket can be made"):
        ControlSocket(tmp_path / "file", control)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(InputError, match="no socket can be made"):
        ControlSocket(tmp_path / ("long" * 40), control)

    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(os.fspath(dead))
    with ControlSocket(dead, control):
        assert send_command(dead, "pause")
