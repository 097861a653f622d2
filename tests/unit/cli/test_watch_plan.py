"""Plans of `watch`: what a YAML file says, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyeye_edge.cli.watch_plan import LARGEST, Plan, SinkPlan, SourcePlan, read_plan
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.tasks import Caption, Classify, Ground
from skyeye_edge.runtime.alerts import Alert


def plan(folder: Path, text: str) -> Plan:
    path = folder / "watch.yaml"
    path.write_text(text, "utf-8")
    return read_plan(path)


def test_a_plan_says_what_the_options_say_and_files_are_meant_from_where_it_lies(
    tmp_path: Path,
) -> None:
    found = plan(
        tmp_path,
        """
sources:
  - url: rtsp://admin:secret@192.168.0.10/stream
    priority: 2
    options: {rtsp_transport: udp, timeout: 2500000}
  - flight.mp4
tasks:
  - caption
  - {task: ground, phrase: a boat, min_score: 0.3}
  - {task: classify, names: [harbour, farmland]}
sinks:
  - out/
  - {to: "mqtt://broker/drone", qos: 1}
alerts:
  - smoke; 3 of 5
  - {phrase: a person near the fence, by: ground, name: fence}
every: 0.5
gate: false
max_latency: 2
""",
    )

    assert found == Plan(
        (
            SourcePlan(
                "rtsp://admin:secret@192.168.0.10/stream",
                2.0,
                {"rtsp_transport": "udp", "timeout": "2500000"},
            ),
            SourcePlan(str(tmp_path / "flight.mp4")),
        ),
        (Caption(), Ground("a boat", 0.3), Classify(("harbour", "farmland"))),
        (SinkPlan(f"{tmp_path / 'out'}/"), SinkPlan("mqtt://broker/drone", {"qos": 1})),
        every=0.5,
        gate=False,
        max_latency=2,
        alerts=(
            Alert("smoke", needed=3, of=5),
            Alert("a person near the fence", by="ground", name="fence"),
        ),
    )


def test_a_recording_is_meant_from_where_the_plan_lies(tmp_path: Path) -> None:
    found = plan(tmp_path, "sources: [flight.mp4]\nrecord: kept\nrecord_gib: 2\n")

    assert (found.record, found.record_gib) == (str(tmp_path / "kept"), 2)


@pytest.mark.parametrize("source", ["-", "0", "/dev/video0", "gst:videotestsrc ! identity"])
def test_what_is_no_file_is_meant_from_nowhere(tmp_path: Path, source: str) -> None:
    found = plan(tmp_path, f"sources: [{source!r}]\nsinks: ['unix:events.sock']")

    assert [each.url for each in found.sources] == [source]
    assert found.sinks == (SinkPlan(f"unix:{tmp_path / 'events.sock'}"),)
    assert plan(tmp_path, "sources: [0, cam.sdp]").sources == (
        SourcePlan("0"),
        SourcePlan(str(tmp_path / "cam.sdp")),
    )


def test_a_plan_without_tasks_captions(tmp_path: Path) -> None:
    assert plan(tmp_path, "sources: [udp://@:5600]").tasks == (Caption(),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give names and values"),
        ("- a", "give names and values"),
        ("sauces: []", "'sauces' is unknown; there are sources, tasks"),
        ("sources: udp://@:5600", "sources: give a list"),
        ("sources: [{priority: 2}]", "sources: url"),
        ("sources: [{url: 'udp://@:1', priority: -1}]", "sources: priority"),
        ("sources: [{url: 'udp://@:1', colour: red}]", "'colour' is unknown"),
        ("sources: ['udp://@:1', 'udp://@:1']", "stands there twice"),
        ("tasks: [capsize]", "give {"),
        ("tasks: [{task: ground, phrases: a boat}]", "ground takes phrase, min_score"),
        ("tasks: [{task: ground, phrase: ''}]", "give some words"),
        ("sinks: [{into: x}]", "sinks: to"),
        ("alerts: [{name: smoke}]", "no phrase"),
        ("alerts: [{phrase: smoke, needed: many}]", "needed"),
        ("alerts: [smoke, smoke]", "two alerts are called"),
        ("tasks: [caption]", "nothing to watch"),
        ("sources: []", "nothing to watch"),
        ("every: soon", "every (seconds)"),
        ("every: -1", "every (seconds)"),
        ("gate: perhaps", "gate"),
        ("sources: [", "line 1: no YAML"),
        ("a: &a [*a]", "'a' is unknown"),
        ("!!python/object/apply:os.system [ls]", "no YAML"),
        ("\x00", "no YAML"),
    ],
)
def test_what_no_plan_says_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(tmp_path, text)

    assert str(refused.value).startswith(str(tmp_path / "watch.yaml"))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "sources: [[rtsp://admin:geheim7@host/]]",
        "sources: {rtsp://admin:geheim7@host/: 1",
        "sources:\n  - rtsp://admin:geheim7@host/\n bad",
        "rtsp://admin:geheim7@host/",
    ],
)
def test_no_message_about_a_plan_shows_a_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(tmp_path, text)

    assert "geheim7" not in str(refused.value)


def test_a_plan_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_plan(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="longer than 1 MiB"):
        plan(tmp_path, "#" * (LARGEST + 1))
