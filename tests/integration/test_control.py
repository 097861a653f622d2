"""`watch` while it runs: a plan that is read anew, a socket, and the keyboard."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyeye_edge.cli import main

HERE = Path(__file__).resolve().parent
LIMIT = 300.0  # seconds that anything may take on a busy machine


def wait_for(ready: Callable[[], bool], job: subprocess.Popen[bytes] | None = None) -> None:
    limit = time.monotonic() + LIMIT
    while not ready():
        assert job is None or job.poll() is None, f"it ended with {job.returncode}"
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


def free_port() -> int:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def cameras() -> Iterator[list[str]]:
    """Addresses of two drones that send."""
    urls = [f"udp://127.0.0.1:{free_port()}" for _ in range(2)]
    drones = [subprocess.Popen([sys.executable, HERE / "udp_sender.py", url]) for url in urls]
    yield urls
    for drone in drones:
        drone.kill()
        drone.wait()


Lines = list[dict[str, object]]


def lines(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def asked(found: Lines) -> set[tuple[object, object, int]]:
    """Source, version and number of answers of each answer event."""
    return {
        (each["source"], each["prompt_version"], len(each["results"]))  # type: ignore[arg-type]
        for each in found
        if each["type"] == "answer"
    }


def ended(found: Lines) -> list[object]:
    return [each["source"] for each in found if each["type"] == "summary"]


def test_a_plan_is_read_anew_while_the_rest_goes_on(
    cameras: list[str], tiny_bundle: Path, tmp_path: Path
) -> None:
    first, second = cameras
    plan, out = tmp_path / "watch.yaml", tmp_path / "events"
    plan.write_text(f"sources: ['{first}']\nevery: 0.1\ngate: false\n")
    command = [sys.executable, "-m", "skyeye_edge", "watch", "--config", str(plan), "--json"]
    command += ["-o", str(tmp_path / "out")]
    with out.open("w") as stdout, (tmp_path / "errors").open("w") as stderr:
        job = subprocess.Popen(
            [*command, "--bundle", str(tiny_bundle)], stdout=stdout, stderr=stderr
        )
    try:
        wait_for(lambda: (first, 1, 1) in asked(lines(out)), job)
        plan.write_text(
            f"sources: ['{first}', '{second}']\nevery: 0.1\ngate: false\n"
            "tasks: [caption, {task: ground, phrase: a boat}]\nsinks: [later.jsonl]\n"
        )
        job.send_signal(signal.SIGHUP)
        wait_for(lambda: {(first, 2, 2), (second, 1, 2)} <= asked(lines(out)), job)
        plan.write_text("sources: [")
        job.send_signal(signal.SIGHUP)
        wait_for(lambda: "goes on as before" in (tmp_path / "errors").read_text(), job)
        plan.write_text(f"sources: ['{second}']\nevery: 0.1\ngate: false\nsinks: [later.jsonl]\n")
        job.send_signal(signal.SIGHUP)
        wait_for(lambda: (second, 2, 1) in asked(lines(out)), job)
        wait_for(lambda: ended(lines(out)) == [first], job)
        job.send_signal(signal.SIGTERM)
        assert job.wait(LIMIT) == 0
    finally:
        job.kill()
        job.wait()

    assert ended(lines(out)) == [first, second]
    (written,) = (tmp_path / "out").glob("*.jsonl")
    assert lines(written) == lines(out)
    assert lines(tmp_path / "later.jsonl") == lines(out)[-len(lines(tmp_path / "later.jsonl")) :]
    assert "Traceback" not in (tmp_path / "errors").read_text()


def test_a_stream_is_told_over_a_socket(
    cameras: list[str],
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, path, out = cameras[0], str(tmp_path / "control"), tmp_path / "events"
    options = ["--every", "0.1", "--no-gate", "--json", "--control", path]
    with out.open("w") as stdout:
        command = [sys.executable, "-m", "skyeye_edge", "watch", url, *options]
        command += ["--bundle", str(tiny_bundle)]
        job = subprocess.Popen(command, stdout=stdout, cwd=tmp_path)
    try:
        wait_for(lambda: bool(asked(lines(out))), job)
        assert main(["control", path, "phrase", "a", "boat"]) == 0
        wait_for(lambda: (url, 2, 2) in asked(lines(out)), job)
        assert main(["control", path, "snapshot"]) == 0
        assert main(["control", path, "pause"]) == 0
        assert main(["control", path, "status"]) == 0
        assert main(["control", path, "jump"]) == 2
        said = capsys.readouterr()
        assert "asked (version 2): caption; ground a boat" in said.out
        assert "LIVE (frames arrive), paused" in said.out
        assert "'jump' is no command" in said.err
        assert len(list(tmp_path.glob("snapshot-udp-127.0.0.1-*.png"))) == 1
        assert main(["control", path, "stop"]) == 0
        assert job.wait(LIMIT) == 0
    finally:
        job.kill()
        job.wait()

    actions = [each["action"] for each in lines(out) if each["type"] == "control"]
    assert actions == ["set_tasks", "pause"]
    assert not Path(path).exists()
    assert main(["control", path, "status"]) == 2


def test_commands_are_typed_into_the_terminal(
    cameras: list[str], tiny_bundle: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "skyeye_edge", "watch", cameras[0], "--no-gate"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [*command, "--bundle", str(tiny_bundle)])
    shown = b""

    def shows(words: bytes) -> bool:
        nonlocal shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536)
        return words in shown

    try:
        wait_for(lambda: shows(b"LIVE"))
        os.write(terminal, b"question How many boats?\n")
        wait_for(lambda: shows(b"asked (version 2): caption; ask How many boats?"))
        os.write(terminal, b"fly\n")
        wait_for(lambda: shows(b"'fly' is no command"))
        os.write(terminal, b"stop\n")
        wait_for(lambda: shows(b"ENDED"))
    finally:
        wait_for(lambda: shows(b" frames: ") or True)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_file_of_a_plan_and_options_that_stand_in_it_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = str(tmp_path / "watch.yaml")

    assert main(["watch", "--config", plan, "--max-age", "1"]) == 2
    assert "--max-age: this stands in the file" in capsys.readouterr().err
    assert main(["watch", "udp://@:5600", "--config", plan]) == 2
    assert "URL: this stands in the file" in capsys.readouterr().err
    assert main(["watch"]) == 2
    assert "give an address, or --config" in capsys.readouterr().err
