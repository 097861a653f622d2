"""Nothing is opened on a network that the user did not ask for: the system's own record says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from skyeye_edge.core.bundle import PACKAGED

HERE = Path(__file__).resolve().parent
NO_STRACE = "no strace: build_tools/test_packages.sh installs it"
CALLS = "trace=socket,connect,bind,sendto,sendmsg,sendmmsg"
ROOT = str(HERE.parent.parent)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where the calls are written down."""
    if shutil.which("strace") is None:
        pytest.skip(NO_STRACE)
    if subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("strace may not look at processes here")
    return tmp_path / "calls"


def traced(trace: Path) -> list[str]:
    """The beginning of a command of which the calls are written down, its children's too."""
    return ["strace", "-f", "-qq", "-e", CALLS, "-o", str(trace)]


def internet_calls(trace: Path) -> list[str]:
    """Calls about addresses of IPv4 or IPv6; sockets within the machine (AF_UNIX) are no matter."""
    return [line for line in trace.read_text("utf-8", "replace").splitlines() if "AF_INET" in line]


@pytest.mark.netns
@pytest.mark.parametrize(
    "words",
    [
        ["caption", "{clip}", "--every", "3", "-o", "{out}"],
        ["watch", "{clip}", "--every", "3"],
        ["ground", "{clip}", "--phrase", "a boat", "--every", "4"],
        ["bundle", "show"],
        ["doctor"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_files_are_answered_without_a_network_and_no_socket_is_opened(
    words: list[str], trace: Path, tmp_path: Path, demo_clip: Path
) -> None:
    command = [word.format(clip=demo_clip, out=tmp_path / "out") for word in words]

    done = subprocess.run(
        ["unshare", "-rn", *traced(trace), sys.executable, "-m", "skyeye_edge", *command],
        cwd=tmp_path,  # for outputs
        env=os.environ | {"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert internet_calls(trace) == []


def test_a_stranger_s_bundle_is_tried_without_a_socket(trace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(PACKAGED, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["language"]["context"] = 512
    manifest["vision"]["preprocess"]["fit"] = "pad"  # so that it is not taken for the packaged one
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    load = f"import skyeye_edge as sky; sky.load({str(folder)!r}).close()"

    done = subprocess.run(
        [*traced(trace), sys.executable, "-c", load],
        env={
            "PATH": "/usr/bin",
            "XDG_CACHE_HOME": str(tmp_path),
            "PYTHONPATH": str(HERE.parent.parent),
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert internet_calls(trace) == []


def test_a_watched_port_is_all_that_is_opened(trace: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"udp://127.0.0.1:{port}"
    sender = subprocess.Popen([sys.executable, HERE / "udp_sender.py", url], stdout=subprocess.PIPE)
    watch = (
        "import sys, skyeye_edge as sky\n"
        "with sky.load() as model, model.stream(sys.argv[1], [sky.Caption()]) as events:\n"
        "    next(event for event in events if isinstance(event, sky.AnswerEvent))\n"
    )
    try:
        done = subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-e",
                CALLS,
                "-o",
                str(trace),
                sys.executable,
                "-c",
                watch,
                url,
            ],
            capture_output=True,
            text=True,
        )
    finally:
        sender.kill()
        sender.wait()

    assert done.returncode == 0, done.stderr
    addressed = [
        line for line in internet_calls(trace) if "sin_port" in line or "sin6_port" in line
    ]
    assert addressed
    ports = {int(number) for line in addressed for number in re.findall(r"htons\((\d+)\)", line)}
    assert ports == {port}
    assert not [line for line in addressed if "connect(" in line or "send" in line]
