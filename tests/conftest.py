"""Shared fixtures, and capability markers: what a machine cannot run is skipped with the reason."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from skyeye_edge import Model

REPO = Path(__file__).resolve().parent.parent

# A slow machine is no failure: neither an example nor its making has a time limit. `make test`
# draws the same examples each time, so that a change is judged by what it changed; `make test-all`
# explores.
for name, derandomize in {"skyeye": True, "explore": False}.items():
    settings.register_profile(
        name,
        deadline=None,
        derandomize=derandomize,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
settings.load_profile("skyeye")

# Nothing in the tests may wait for a network or fight over two cores.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Started in the background of a script, or by nohup, this process and all it starts would ignore
# Ctrl-C or a closed terminal, which is what some tests are about.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@cache
def no_gpu() -> str:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "no CUDA device"
    return "" if "GPU 0" in done.stdout else "no CUDA device"


@cache
def no_netns() -> str:
    if shutil.which("unshare") is None:
        return "no unshare command"
    done = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    return "" if done.returncode == 0 else "user namespaces are not allowed here"


def no_root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def no_ffprobe() -> str:
    return "" if shutil.which("ffprobe") else "no ffprobe: apt-get install ffmpeg"


def no_program(name: str) -> str:
    return "" if shutil.which(name) else f"no {name}: build_tools/test_packages.sh installs it"


@cache
def no_rtsp() -> str:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    for python in ("/usr/bin/python3", "python3"):
        if (
            shutil.which(python)
            and not subprocess.run([python, "-c", probe], capture_output=True).returncode
        ):
            return ""
    return "no GStreamer RTSP server: build_tools/test_packages.sh installs it"


def no_java() -> str:
    if shutil.which("java"):
        return ""
    return "no Java: build_tools/test_packages.sh installs it"


def no_mosquitto() -> str:
    broker = shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()
    if broker and shutil.which("mosquitto_sub"):
        return ""
    return "no MQTT broker: build_tools/test_packages.sh installs mosquitto"


CHECKS: dict[str, Callable[[], str]] = {
    "gpu": no_gpu,
    "netns": no_netns,
    "root": no_root,
    "ffprobe": no_ffprobe,
    "rtsp": no_rtsp,
    "gstreamer": lambda: no_program("gst-launch-1.0"),
    "srt": lambda: no_program("srt-live-transmit"),
    "java": no_java,
    "mosquitto": no_mosquitto,
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, check in CHECKS.items():
        if item.get_closest_marker(name) and (reason := check()):
            pytest.skip(reason)


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data that does not belong to the project: real clips, RSICD, boxes."""
    folder = Path(os.environ.get("SKYEYE_SHARED") or REPO.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder}; SKYEYE_SHARED names another place")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """The packaged bundle; SKYEYE_TEST_BUNDLE names another one."""
    given = os.environ.get("SKYEYE_TEST_BUNDLE")
    return Path(given) if given else REPO / "skyeye_edge" / "assets" / "skyeye-tiny"


@pytest.fixture(scope="session")
def tiny(tiny_bundle: Path) -> Iterator[Model]:
    """The model of that bundle, opened once for all tests that only ask it things."""
    import skyeye_edge as sky

    with sky.load(tiny_bundle) as model:
        yield model


@pytest.fixture(scope="session")
def tiny_for_clips(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The same model, whose manifest allows clips of four frames."""
    import skyeye_edge as sky

    folder = tmp_path_factory.mktemp("clips") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"frames": 4}), "utf-8")
    with sky.load(folder) as model:
        yield model


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """The packaged clip, a flight over the synthetic world; SKYEYE_TEST_CLIP names another."""
    given = os.environ.get("SKYEYE_TEST_CLIP")
    return Path(given) if given else REPO / "skyeye_edge" / "assets" / "demo.mp4"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    # lazily: PyAV lets go of a file it could not finish only with the error itself
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
