"""A bundle from a stranger can end the process that opens it, but never ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import skyeye_edge as sky
from skyeye_edge.core.bundle import PACKAGED

GGUF = "llm.q8_0.gguf"


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has opened nothing so far."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def changed_bundle(tmp_path: Path) -> Callable[[Callable[[bytes], bytes]], Path]:
    """The packaged bundle with another GGUF, whose hash fits."""

    def change(by: Callable[[bytes], bytes]) -> Path:
        folder = tmp_path / "stranger"
        shutil.copytree(PACKAGED, folder)
        content = by((folder / GGUF).read_bytes())
        (folder / GGUF).write_bytes(content)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        digest = hashlib.sha256(content).hexdigest()
        manifest["files"][GGUF] = {"sha256": digest, "bytes": len(content)}
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        return folder

    return change


def with_experts(content: bytes) -> bytes:
    """A GGUF that claims three experts and uses none: libllama ends the process on it.

    The place is made by shortening the name of the model, so that nothing else moves.
    """
    key, value = b"llama.expert_count", struct.pack("<II", 4, 3)
    added = struct.pack("<Q", len(key)) + key + value
    magic, version, tensors, pairs = struct.unpack_from("<4sIQQ", content)
    head = struct.pack("<4sIQQ", magic, version, tensors, pairs + 2)
    filler = b"x.filler"
    empty = len(added) + 8 + len(filler) + 4 + 8  # with an empty text
    text = b" " * (-empty % 32)  # tensors lie at multiples of 32 bytes
    filling = struct.pack("<Q", len(filler)) + filler + struct.pack("<IQ", 8, len(text)) + text
    return head + added + filling + content[24:]


def test_a_bundle_that_ends_the_process_is_an_error_here(
    changed_bundle: Callable[[Callable[[bytes], bytes]], Path],
) -> None:
    folder = changed_bundle(with_experts)

    with pytest.raises(sky.BundleError, match=r"stranger: opening it ended a process with SIG\w+"):
        sky.load(folder)


def test_what_the_child_cannot_open_is_told_as_here(
    changed_bundle: Callable[[Callable[[bytes], bytes]], Path],
) -> None:
    folder = changed_bundle(lambda content: content[: len(content) // 2])

    with pytest.raises(sky.BackendError, match=r"llama\.cpp cannot load it"):
        sky.load(folder)


def test_a_bundle_is_tried_once_and_the_packaged_weights_never(
    changed_bundle: Callable[[Callable[[bytes], bytes]], Path], cache_home: Path
) -> None:
    notes = cache_home / "skyeye-edge" / "opened"
    sky.load().close()
    before = notes.exists()
    folder = changed_bundle(lambda content: content + bytes(32))

    sky.load(folder).close()
    known = [(note.name, note.stat().st_mtime_ns) for note in notes.iterdir()]
    sky.load(folder).close()

    assert not before
    assert len(known) == 1
    assert known == [(note.name, note.stat().st_mtime_ns) for note in notes.iterdir()]


def test_a_check_that_does_not_exist_is_named() -> None:
    with pytest.raises(sky.InputError, match="checks are memory, crash"):
        sky.load(unchecked=["everything"])  # type: ignore[list-item]
