"""The first opening of a bundle that this machine does not know: in a process of its own.

ONNX Runtime and llama.cpp are made for files of friends: a wrong one can end the whole process, and
with it whatever else runs in there. What has answered once on this machine, with these versions of
the libraries, is known and opened at once, and so are the weights that come with the package.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skyeye_edge.core import errors
from skyeye_edge.core.bundle import PACKAGED, Bundle, cache_folder
from skyeye_edge.core.errors import BackendError, BundleError
from skyeye_edge.core.manifest import MANIFEST_NAME, read_manifest

log = logging.getLogger(__name__)
LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "llama-cpp-python")
PATIENCE = 300.0  # seconds, and more for large files: a slow machine is no damage
SLOWEST = 5e6  # bytes a second

# What the child does: open a bundle, answer one question, say how that went.
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected, its memory not wanted
request = json.loads(sys.argv[1])
sys.path[:] = request.pop("path")
from skyeye_edge.core.errors import SkyEyeError
from skyeye_edge.runtime import load
said = {"kind": ""}
try:
    with load(request.pop("folder"), threads=1, unchecked=("memory", "crash"), **request) as model:
        model.warm_up()
except SkyEyeError as error:
    said = {"kind": type(error).__name__, "text": str(error)}
print(json.dumps(said), flush=True)
"""


def try_first(bundle: Bundle, vision: str, language: str, device: str) -> None:
    """Let a child open a bundle and answer once, unless it is known to go well.

    Args:
        bundle: the bundle.
        vision: a variant of it.
        language: likewise.
        device: as for `load`.

    Raises:
        BundleError: the child was ended by a signal, or did not come to an end.
        SkyEyeError: what the child raised.
    """
    if _is_packaged(bundle, vision, language):
        return
    note = _note(bundle, vision, language, device)
    if note.exists():
        return
    log.info("%s: opened for the first time, in a process of its own", bundle.root)
    request = {
        "folder": str(bundle.root.absolute()),
        "vision": vision,
        "language": language,
        "device": device,
        "path": [entry or str(Path.cwd()) for entry in sys.path],
    }
    files = (bundle.vision_file(vision), bundle.language_file(language))
    limit = PATIENCE + sum(bundle.manifest.files[each.name].bytes for each in files) / SLOWEST
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"{bundle.root}: gave no answer within {limit:.0f} s; {_ADVICE}"
        ) from error
    _judge(bundle, done.returncode, done.stdout)
    _remember(note)


_ADVICE = (
    "do not use this bundle here: copy it again from whoever made it, or export it again; "
    "`skyeye-edge bundle verify` compares it with its manifest, `skyeye-edge doctor` looks at the "
    "libraries"
)


def _judge(bundle: Bundle, code: int, said: bytes) -> None:
    """Raise what the child met."""
    if code < 0:
        name = signal.Signals(-code).name
        raise BundleError(
            f"{bundle.root}: opening it ended a process with {name}, which was one of its own, so "
            f"that this one goes on; {_ADVICE}"
        )
    try:
        values = json.loads(said.splitlines()[-1])
        kind, text = values["kind"], values.get("text", "")
    except (ValueError, IndexError, KeyError) as error:
        raise BundleError(
            f"{bundle.root}: opening it ended a process with code {code}; {_ADVICE}"
        ) from error
    if kind:
        raise getattr(errors, kind, BackendError)(text)


def _is_packaged(bundle: Bundle, vision: str, language: str) -> bool:
    """Whether its weights are those that come with this program."""
    packaged = read_manifest(PACKAGED / MANIFEST_NAME)
    if asdict(packaged.spec.vision) != asdict(bundle.spec.vision):
        return False
    known = {entry.sha256 for entry in packaged.files.values()}
    return set(_hashes(bundle, vision, language)) <= known


def _hashes(bundle: Bundle, vision: str, language: str) -> tuple[str, ...]:
    """Of the files that are opened."""
    files, first = bundle.manifest.files, bundle.vision_file(vision).name
    names = [name for name in files if name.startswith(first)]
    return tuple(
        files[name].sha256 for name in (*sorted(names), bundle.language_file(language).name)
    )


def _note(bundle: Bundle, vision: str, language: str, device: str) -> Path:
    """Where stands that it went well."""
    facts = (
        _hashes(bundle, vision, language),
        asdict(bundle.spec.vision),
        bundle.spec.context,
        bundle.manifest.vocabulary,
        device,
        [_version(name) for name in LIBRARIES],
    )
    name = blake2b(repr(facts).encode(), digest_size=16).hexdigest()
    return cache_folder() / "opened" / name


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _remember(note: Path) -> None:
    draft = note.with_name(f"{note.name}.{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
        draft.replace(note)
    except OSError:
        return  # a home that cannot be written only costs another trial
