"""Open and verify a bundle: names, sizes, hashes, GGUF header, all before a library sees a file."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skyeye_edge.core.address import check_is_no_address
from skyeye_edge.core.arguments import as_path
from skyeye_edge.core.errors import BundleError
from skyeye_edge.core.gguf_header import check_gguf
from skyeye_edge.core.manifest import MANIFEST_NAME, FileEntry, Manifest, read_manifest
from skyeye_edge.core.spec import ModelSpec

PACKAGED = Path(__file__).resolve().parent.parent / "assets" / "skyeye-tiny"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked bundle; read-only."""

    root: Path
    manifest: Manifest
    sha256: str  # of the manifest, which holds the hashes of all other files

    @property
    def spec(self) -> ModelSpec:
        """What the model expects."""
        return self.manifest.spec

    def vision_file(self, variant: str) -> Path:
        """The ONNX file of a variant; InputError where there is none of this name."""
        return self.root / self.manifest.vision_variants[self.manifest.vision_variant(variant)]

    def language_file(self, variant: str) -> Path:
        """The GGUF file of a variant; InputError where there is none of this name."""
        return self.root / self.manifest.language_variants[self.manifest.language_variant(variant)]


def open_bundle(path: str | Path | None = None) -> Bundle:
    """A bundle that is whole and fits together; None is the packaged skyeye-tiny.

    Hashes are computed once and remembered per user, by path, size, times and inode.

    Raises:
        BundleError: missing, damaged, newer than this program, or its files do not fit together.
    """
    root = PACKAGED if path is None else as_path(path, "bundle")
    return _checked(root, _remembered_sha256)


def verify_bundle(path: str | Path) -> Bundle:
    """Like `open_bundle`, but reads every byte and remembers nothing."""
    return _checked(Path(path), _sha256)


def cache_folder() -> Path:
    """Where this program keeps what it can compute again, for this user."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "skyeye-edge"


def _checked(root: Path, sha256: Callable[[Path], str]) -> Bundle:
    _check_there(root)
    file = root / MANIFEST_NAME
    manifest = read_manifest(file)
    for name, entry in manifest.files.items():
        _check_file(root, name, entry, sha256)
    for name in manifest.language_variants.values():
        width = manifest.spec.vision.width
        check_gguf(root / name, vocabulary=manifest.vocabulary, width=width)
    return Bundle(root, manifest, _sha256(file))


def _check_there(root: Path) -> None:
    if root.is_dir():
        return
    check_is_no_address(root)
    kept = root.with_name(root.name + ".old")
    if kept.is_dir():
        raise BundleError(
            f"{root}: missing, but {kept.name} is there: a replacement was interrupted. "
            f"To have the old bundle back: mv '{kept}' '{root}'"
        )
    if root.exists():
        raise BundleError(f"{root}: a file; a bundle is a folder with a {MANIFEST_NAME}")
    raise BundleError(f"{root}: no such bundle; check the path, or make it: skyeye-edge export")


def _check_file(root: Path, name: str, entry: FileEntry, sha256: Callable[[Path], str]) -> None:
    file = root / name
    again = f"copy the bundle again, then run: skyeye-edge bundle verify {root}"
    below = [file, *file.parents][: len(Path(name).parts)]
    if any(part.is_symlink() for part in below):
        raise BundleError(f"{file}: a link; a bundle holds plain files only. To fix it, {again}")
    if not file.is_file():
        raise BundleError(f"{file}: missing, but the manifest lists it; {again}")
    found = file.stat().st_size
    if found != entry.bytes:
        raise BundleError(f"{file}: {found:,} bytes, the manifest says {entry.bytes:,}; {again}")
    if sha256(file) != entry.sha256:
        raise BundleError(f"{file}: damaged, its content is not what the manifest says; {again}")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from error
    return digest.hexdigest()


def _remembered_sha256(file: Path) -> str:
    status = file.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    key = repr((str(file.resolve()), status.st_size, times, status.st_ino))
    name = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
    note = cache_folder() / "sha256" / name
    if known := _read_note(note):
        return known
    digest = _sha256(file)
    # A file can change twice within one tick of its clock, so a fresh one is not remembered.
    if time.time() - status.st_mtime > 2:
        _remember(note, digest)
    return digest


def _read_note(note: Path) -> str:
    try:
        text = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return text if len(text) == 64 else ""  # a power cut can leave an empty note


def _remember(note: Path, digest: str) -> None:
    draft = note.with_name(f"{note.name}.{os.getpid()}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(digest, encoding="ascii")
        draft.replace(note)
    except OSError:
        return  # a home that cannot be written only costs the time to hash again
