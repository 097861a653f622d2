"""The set-up script: what it decides, without setting anything up."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from build_tools import setup_env


@pytest.fixture(autouse=True)
def no_cmake_args(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMAKE_ARGS", raising=False)


def test_llama_is_built_lean_and_without_openmp() -> None:
    flags = setup_env.cmake_args()

    assert "-DGGML_OPENMP=OFF" in flags
    assert "-DLLAVA_BUILD=OFF" in flags


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_only_a_wheel_for_many_processors_is_kept_for_all_of_them(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(setup_env, "cpu_flags", lambda: ["avx2"])
    here = setup_env.wheel_folder()

    monkeypatch.setattr(setup_env, "cpu_flags", lambda: ["sse4_2"])

    assert ("-DGGML_CPU_ALL_VARIANTS=ON" in setup_env.cmake_args()) == (machine == "x86_64")
    assert (setup_env.wheel_folder() == here) == (machine == "x86_64")


def test_another_build_of_the_same_version_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho {setup_env.pinned_llama()}\n")
    python.chmod(0o755)
    before = setup_env.has_llama(python)

    (tmp_path / setup_env.LLAMA_STAMP).write_text(setup_env.wheel_folder().name)

    assert (before, setup_env.has_llama(python)) == (False, True)


def test_the_users_flags_win_and_get_a_wheel_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = setup_env.wheel_folder()

    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=ON")

    assert setup_env.cmake_args() == "-DGGML_CUDA=ON"
    assert setup_env.wheel_folder() != ours


def test_the_wheel_is_kept_where_the_user_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert tmp_path in setup_env.wheel_folder().parents


def test_a_kept_wheel_is_found_by_the_pinned_version(tmp_path: Path) -> None:
    wheel = tmp_path / f"llama_cpp_python-{setup_env.pinned_llama()}-py3-none-any.whl"
    wheel.touch()
    (tmp_path / "llama_cpp_python-0.0.1-py3-none-any.whl").touch()

    assert setup_env.find_wheel(tmp_path) == wheel


@pytest.mark.parametrize(
    ("log", "told"),
    [
        pytest.param("Collecting numpy==2\n  Using cached numpy", "Using cached numpy", id="pip"),
        pytest.param(
            "Building wheel\n  [3/83] c++ a\n  [12/83] c++ b\n", "compiled 12/83", id="ninja"
        ),
        pytest.param("[ 37%] Building CXX object", "compiled 37%", id="make"),
        pytest.param(
            "Installing collected packages: a, b, c", "installing 3 packages", id="installing"
        ),
        pytest.param("", "starting", id="nothing yet"),
    ],
)
def test_the_sign_of_life_says_how_far_it_is(log: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(log)

    assert setup_env.newest_step(file) == told


def test_a_second_call_sets_nothing_up(repo: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "skyeye-setup.json").write_text(json.dumps({"runtime": setup_env.stamp_key()}))
    script = repo / "build_tools" / "setup_env.py"

    done = subprocess.run(
        [sys.executable, str(script), "--venv", str(venv), "runtime"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": ""},
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in venv.iterdir()] == ["skyeye-setup.json"]


def test_a_torn_stamp_means_set_up_again(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text('{"runtime": "abc')

    assert setup_env.read_stamp(tmp_path / "stamp") == {}
