"""`skyeye-edge doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from skyeye_edge._version import __version__
from skyeye_edge.cli.options import Commands, add_command
from skyeye_edge.core.errors import SkyEyeError, needs
from skyeye_edge.core.install import install_command, pip

if TYPE_CHECKING:
    from skyeye_edge.core.manifest import FileEntry

EXAMPLES = ("skyeye-edge doctor", "skyeye-edge doctor --quiet")

# Of each row one distribution is wanted: they install the same module, and the later one wins.
RIVALS = (
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
)
# module, distributions that bring it, the extra that asks for it
LIBRARIES = (
    ("numpy", ("numpy",), ""),
    ("PIL", ("pillow",), ""),
    ("onnxruntime", RIVALS[0], "runtime"),
    ("llama_cpp", ("llama-cpp-python",), "runtime"),
    ("av", ("av",), "runtime"),
    ("cv2", RIVALS[1], "runtime"),
    ("torch", ("torch",), "training"),
    ("transformers", ("transformers",), "training"),
    ("peft", ("peft",), "training"),
    ("onnx", ("onnx",), "export"),
    ("gguf", ("gguf",), "export"),
    ("pycocoevalcap", ("pycocoevalcap",), "evaluation"),
)


def add_parser(commands: Commands) -> None:
    """Options of `doctor`."""
    summary = "Say what is installed, what is missing, and what to do."
    parser = add_command(commands, "doctor", summary, EXAMPLES)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge doctor`; 1 if something that is installed cannot work as it is."""
    problems = [*rival_problems(installed_versions())]
    if not args.quiet:
        print_machine()
        print_libraries()
    problems += [text for text in (backend_problem(args.quiet), model_problem(args.quiet)) if text]
    for text in dict.fromkeys(problems):
        print(f"PROBLEM  {text}")
    if not problems:
        print("no problem found")
    return 1 if problems else 0


def installed_versions() -> dict[str, str]:
    """Version by distribution, of those that matter here."""
    found = {}
    for name in {name for _, names, _ in LIBRARIES for name in names}:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def rival_problems(found: dict[str, str]) -> Iterator[str]:
    """Distributions that overwrite each other's files."""
    for row in RIVALS:
        both = [name for name in row if name in found]
        if len(both) > 1:
            yield (
                f"{' and '.join(both)} are all installed and share one module; run: "
                f"{pip()} uninstall -y {' '.join(both)} && {pip()} install {both[-1]}"
                f" (or {', '.join(both[:-1])})"
            )


def print_machine() -> None:
    """Program, interpreter, system, cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"skyeye-edge {__version__}, Python {platform.python_version()} ({sys.executable})")
    print(f"{platform.system()} {platform.release()} {platform.machine()}, {cores} cores")


def print_libraries() -> None:
    """Every library with its version, or the command that installs it."""
    found = installed_versions()
    for module, names, extra in LIBRARIES:
        versions = [f"{name} {found[name]}" for name in names if name in found]
        if versions:
            print(f"  {', '.join(versions)}")
        elif find_spec(module) is not None:
            print(f"  {module} (from the system, version not known to pip)")
        else:
            print(f"  {module}: missing; {install_command(extra or 'runtime')}")


def backend_problem(quiet: bool) -> str:
    """Load both backends and print what they can run on; returns what stops them, if anything."""
    try:
        with needs("runtime"):
            from skyeye_edge.runtime.libllama import can_use_gpu, cpu_features
            from skyeye_edge.runtime.vision.onnx import has_cuda
        vision = "CUDA offered, CPU" if has_cuda() else "CPU"
        language = "GPU, CPU" if can_use_gpu() else "CPU"
        features = ", ".join(cpu_features())
    except SkyEyeError as error:
        return str(error)
    if not quiet:
        print(f"vision backend: ONNX Runtime on {vision}")
        print(f"language backend: llama.cpp on {language} ({features})")
    return ""


def model_problem(quiet: bool) -> str:
    """Print the packaged model and its licence; returns what is wrong with it, if anything is."""
    try:
        with needs("runtime"):
            from skyeye_edge.core.bundle import open_bundle
        bundle = open_bundle()
    except SkyEyeError as error:
        return str(error)
    manifest = bundle.manifest
    use = "commercial use allowed" if manifest.commercial_use else "commercial_use: false"
    vision, language = manifest.vision_variant(), manifest.language_variant()
    if not quiet:
        print(f"packaged model: {manifest.name} {manifest.version}, {use}")
        print(f"  runs as vision {vision}, language {language}; see {bundle.root / 'LICENSE'}")
        print_threads(manifest.files[bundle.language_file(language).name])
    return ""


def print_threads(gguf: FileEntry) -> None:
    """Print the threads of a language model on this machine, and why so many."""
    from skyeye_edge.runtime.threads import free_cores, remembered_choice

    try:
        choice = remembered_choice(gguf.sha256, free_cores(gguf.bytes, overlap=True))
    except SkyEyeError:  # no llama.cpp, which was said before
        return
    if choice is None:
        print("  threads: measured when the model is first opened here")
        return
    generate, prefill = choice.threads.generate, choice.threads.prefill
    print(f"  threads: {generate} for answers, {prefill} for prompts ({choice.reason})")
