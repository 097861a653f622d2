"""Set up .venv for `make demo` (profile runtime) or `make test` (profile dev), once.

Standard library only, because this runs before anything is installed. A stamp inside the
environment holds a hash of everything that decides what is in it; while the hash fits, a second
call returns at once. Profile dev contains profile runtime.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
INPUTS = (
    "setup.py",
    "constraints.txt",
    "build_tools/setup_env.py",
    "build_tools/llama_cpp_lean.cmake",
)
LEAN = REPO / "build_tools" / "llama_cpp_lean.cmake"
LLAMA_STAMP = "skyeye-llama"  # in the environment: which build of llama-cpp-python it has
COMPILERS = ("c++", "g++", "clang++")
SIGN_OF_LIFE_S = 20


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(f"[setup] {text}", flush=True)


def stop(text: str) -> None:
    """End with a message that says what to do."""
    sys.exit(f"[setup] STOPPED: {text}")


def check_machine() -> None:
    """Find out before the first download whatever would stop the set-up later."""
    if sys.version_info < (3, 10):  # noqa: UP036 - this file meets old interpreters
        stop(f"Python 3.10 or newer is needed, this is {sys.version.split()[0]}.")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop("Python's venv module is missing. On Debian: sudo apt-get install python3-venv")
    free = shutil.disk_usage(REPO).free
    if free < 3 * 2**30:
        say(f"only {free / 2**30:.1f} GiB free here; .venv takes 0.6 (demo) to 1.9 GiB (test)")


def stamp_key() -> str:
    """Hash of what decides the set-up: its inputs, the interpreter and the place."""
    digest = hashlib.sha256(f"{sys.version}\n{REPO}\n".encode())
    for name in INPUTS:
        digest.update((REPO / name).read_bytes())
    return digest.hexdigest()


def read_stamp(stamp: Path) -> dict[str, str]:
    """Profile to key, as the last set-up left it; empty if there was none."""
    try:
        found: dict[str, str] = json.loads(stamp.read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return found


def make_venv(venv: Path) -> Path:
    """The environment's interpreter; the environment is made if that does not run."""
    python = venv / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0:
        return python
    say(f"creating {venv.name}/")
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if subprocess.run(command, check=False).returncode != 0:
        stop("no environment could be made. On Debian: sudo apt-get install python3-venv")
    return python


def opencv_flavour() -> str:
    """The runtime extra for this machine: opencv-python needs the system's libGL and glib."""
    try:
        ctypes.CDLL("libGL.so.1")
        ctypes.CDLL("libglib-2.0.so.0")
    except OSError:
        say("no libGL on this machine: OpenCV comes in its headless flavour")
        return "runtime-headless"
    return "runtime"


def cpu_flags() -> list[str]:
    """What the processor can do, as the kernel says; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []
    return next((x.split() for x in lines if x.startswith(("flags", "Features"))), [])


def cmake_args() -> str:
    """How llama.cpp is compiled, unless CMAKE_ARGS says otherwise.

    Without OpenMP: its threads spin while they wait, and with a second busy process on the same
    cores a token took 180 times as long. On x86-64 for several kinds of processor at once, of which
    the best is chosen when the library loads, so that the wheel is fast here and can be carried to
    another machine (`make wheels`). Elsewhere for this very processor.
    """
    chosen = ["-DLLAVA_BUILD=OFF", "-DGGML_OPENMP=OFF", f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={LEAN}"]
    if platform.machine() in ("x86_64", "AMD64"):
        chosen += ["-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON"]
    return os.environ.get("CMAKE_ARGS") or " ".join(chosen)


def wheel_folder() -> Path:
    """Where our wheel of llama-cpp-python is kept, apart for every way of compiling it.

    Not pip's own cache, which knows wheels by version alone: it would hand our lean wheel to
    other projects, and theirs to us.
    """
    flags = cmake_args().replace(str(LEAN), LEAN.name)
    facts = [platform.machine(), flags, LEAN.read_text("utf-8")]
    if "-DGGML_NATIVE=OFF" not in flags:
        facts += cpu_flags()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
    return cache / "skyeye-edge" / "wheels" / name


def pinned_llama() -> str:
    """The version of llama-cpp-python in constraints.txt."""
    found = re.search(r"^llama-cpp-python==(\S+)", (REPO / "constraints.txt").read_text(), re.M)
    assert found is not None, "constraints.txt pins llama-cpp-python"
    return found[1]


def find_wheel(folder: Path) -> Path | None:
    """The kept wheel of the pinned version, if there is one."""
    return next(iter(sorted(folder.glob(f"llama_cpp_python-{pinned_llama()}-*.whl"))), None)


def build_llama(python: Path, log: Path) -> Path:
    """Our wheel of llama-cpp-python: the kept one, or compiled now and kept."""
    folder = wheel_folder()
    if kept := find_wheel(folder):
        say(f"llama-cpp-python: using the wheel compiled earlier ({folder})")
        return kept
    if not any(shutil.which(name) for name in COMPILERS):
        stop(
            "llama-cpp-python is published as C++ source and no compiler was found.\n"
            "        On Debian: sudo apt-get install build-essential\n"
            f"        (or put a ready wheel of version {pinned_llama()} into {folder})"
        )
    cores = len(os.sched_getaffinity(0))
    say("llama-cpp-python, which runs the language model, is published as C++ source only,")
    say(f"so its 140 files are compiled here, once, on {cores} cores: about 4 minutes on 2 free")
    say("cores, more on a busy machine. Parts that skyeye-edge never loads are left out.")
    say(f"The wheel is kept in {folder}; the next set-up is quick.")
    folder.mkdir(parents=True, exist_ok=True)
    # -v: the compiler's own progress goes into the log, where `run_pip` finds it
    arguments = ["wheel", "-v", "--no-cache-dir", "--no-deps", "-w", str(folder)]
    run_pip(python, [*arguments, f"llama-cpp-python=={pinned_llama()}"], log)
    built = find_wheel(folder)
    if built is None:
        stop(f"pip ended well but left no wheel in {folder}; see {log}")
    assert built is not None
    return built


def has_llama(python: Path) -> bool:
    """Whether the environment has our build of the pinned version already."""
    probe = "import importlib.metadata as m; print(m.version('llama-cpp-python'))"
    done = subprocess.run([python, "-c", probe], check=False, capture_output=True, text=True)
    stamp = python.parent.parent / LLAMA_STAMP
    built = stamp.read_text("utf-8") if stamp.is_file() else ""
    return done.stdout.strip() == pinned_llama() and built == wheel_folder().name


def install_llama(python: Path) -> None:
    """Our wheel of llama-cpp-python into the environment, in place of any other build."""
    venv = python.parent.parent
    wheel = build_llama(python, venv / "setup-llama.log")
    # pip takes a wheel of the version that is there for the one that is there
    arguments = ["install", "--force-reinstall", "--no-deps", str(wheel)]
    run_pip(python, arguments, venv / "setup-llama-install.log")
    (venv / LLAMA_STAMP).write_text(wheel_folder().name, "utf-8")


def newest_step(log: Path) -> str:
    """The last thing worth telling from pip's log: the compiler's count, or pip's own words."""
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - 20_000))
        text = lines.read().decode("utf-8", "replace")
    if counts := re.findall(r"^\s*\[\s*(\d+/\d+|\d+%)\]", text, re.M):
        return f"compiled {counts[-1]}"
    if packages := re.search(r"^Installing collected packages: (.*)", text, re.M):
        return f"installing {packages[1].count(',') + 1} packages"
    steps = re.findall(r"^\s*(?:Collecting|Downloading|Building|Installing|Using) .*", text, re.M)
    return steps[-1].strip()[:80] if steps else "starting"


def run_pip(python: Path, arguments: Sequence[str], log: Path) -> None:
    """Run pip with its output in a log and a sign of life on screen; stops if pip fails."""
    command = [str(python), "-m", "pip", *arguments, "--progress-bar", "off", "--no-input"]
    env = dict(os.environ, CMAKE_ARGS=cmake_args(), PIP_DISABLE_PIP_VERSION_CHECK="1")
    # ninja takes all cores by itself, plain make only one
    env.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
    started = told = time.monotonic()
    with log.open("wb") as sink:
        job = subprocess.Popen(
            command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, env=env, cwd=REPO
        )
        while job.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - told >= SIGN_OF_LIFE_S:
                told = time.monotonic()
                say(f"{told - started:4.0f} s  {newest_step(log)}")
    if job.returncode != 0:
        print("\n".join(log.read_text("utf-8", "replace").splitlines()[-25:]), file=sys.stderr)
        stop(f"pip failed; above is the end of {log}. The same make command tries again.")
    say(f"done in {time.monotonic() - started:.0f} s")


def install(venv: Path, profile: str) -> None:
    """Everything of a profile into the environment."""
    check_machine()
    python = make_venv(venv)
    if not has_llama(python):
        install_llama(python)
    flavour = opencv_flavour()
    extras = (
        flavour
        if profile == "runtime"
        else f"{flavour},training,export,evaluation,supervision,mqtt,dev"
    )
    log = venv / f"setup-{profile}.log"
    say(f"installing skyeye-edge[{extras}] into {venv.name}/; the log is {log}")
    if profile == "dev":
        say("torch alone is 200 MB for a CPU, so this takes a minute or two on a fast line")
    wanted = ["-c", str(REPO / "constraints.txt"), "-e", f"{REPO}[{extras}]"]
    run_pip(python, ["install", *wanted], log)


def collect(venv: Path, folder: Path) -> None:
    """Fill `folder` with every wheel that an offline machine of this kind needs."""
    python = make_venv(venv)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(build_llama(python, venv / "setup-llama.log"), folder)
    shutil.rmtree(REPO / "build", ignore_errors=True)  # what an earlier state left would come along
    common = ["wheel", "-c", str(REPO / "constraints.txt"), "-w", str(folder)]
    offer = ["--find-links", str(folder), "--only-binary", "llama-cpp-python"]
    # both flavours of OpenCV are offered, because a server wants the one and a desk the other
    for flavour in ("runtime", "runtime-headless"):
        say(f"collecting skyeye-edge[{flavour}] in {folder}")
        run_pip(python, [*common, *offer, f"{REPO}[{flavour}]"], venv / "setup-wheels.log")
    count = len(list(folder.glob("*.whl")))
    say(f"{count} wheels in {folder}. On the offline machine, with the same Python version:")
    say("    pip install --no-index --find-links FOLDER 'skyeye-edge[runtime-headless]'")


def main() -> None:
    """Bring the environment to the profile, or see that it is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--wheels", type=Path, help="then collect wheels for an offline machine")
    parser.add_argument("profile", choices=["runtime", "dev"])
    args = parser.parse_args()
    venv = (REPO / args.venv).absolute()
    with (REPO / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two make jobs at once, the second waits
        stamp = venv / "skyeye-setup.json"
        wanted = stamp_key()
        done = {name: key for name, key in read_stamp(stamp).items() if key == wanted}
        if args.profile not in done:
            install(venv, args.profile)
            done |= dict.fromkeys(["runtime", args.profile], wanted)
            stamp.write_text(json.dumps(done), "utf-8")
        if args.wheels:
            collect(venv, args.wheels.absolute())


if __name__ == "__main__":
    main()
