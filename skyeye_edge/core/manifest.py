"""The manifest of a bundle: `manifest.json` as frozen values, read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from skyeye_edge.core import limits
from skyeye_edge.core.errors import BundleError, InputError
from skyeye_edge.core.spec import ModelSpec

SCHEMA = 1
MANIFEST_NAME = "manifest.json"

# What a backend takes first; the default of a manifest stands before it, and what is not in the
# bundle is passed over.
_VISION_ORDER = {
    "cpu": ("int8", "fp32", "fp16"),
    "cuda": ("fp16", "fp32", "int8"),
    "tensorrt": ("fp16", "fp32"),
}
_ONE_BY_ONE_UNSTATED = ("int8",)  # bundles made before manifests stated it wrote no other
_PLACED = ("vision", "prompt", "boxes", "context")  # parts of the spec with a place of their own


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256) or self.bytes < 0:
            raise InputError(f"files: {self.sha256!r}, {self.bytes} bytes is no hash and size")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a bundle says about itself; file names are checked when it is made."""

    name: str
    version: str
    created: str
    commercial_use: bool
    architecture: Mapping[str, str]  # vision, aligner, language
    spec: ModelSpec
    vocabulary: int  # tokens of the language model
    vision_variants: Mapping[str, str]  # variant: file
    vision_default: Mapping[str, str]  # backend: variant
    language_variants: Mapping[str, str]
    language_default: str
    tasks: tuple[str, ...]
    licences: tuple[str, ...]
    files: Mapping[str, FileEntry]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    # vision variants whose tokens of one image depend on the others of its batch
    one_by_one: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.files:
            _check_name(name)
        variants = {**self.vision_variants, **self.language_variants}
        if missing := sorted(set(variants.values()) - set(self.files)):
            raise InputError(f"files: {missing[0]!r} is a variant, but its hash is not listed")
        if not self.vision_variants or not self.language_variants:
            raise InputError("variants: at least one vision and one language file is needed")
        _check_sizes(self)

    def vision_variant(self, asked: str = "auto", device: str = "cpu") -> str:
        """The vision variant to run.

        Args:
            asked: a variant, or "auto" for the device's default, else the next one that is there.
            device: "cpu", "cuda" or "tensorrt".

        Raises:
            InputError: `asked` is not in the bundle, or nothing in it runs on the device.
        """
        if asked != "auto":
            return _asked(asked, self.vision_variants, "vision")
        order = (self.vision_default.get(device, ""), *_VISION_ORDER.get(device, ()))
        for variant in order:
            if variant in self.vision_variants:
                return variant
        raise InputError(
            f"bundle {self.name}: none of its vision variants {sorted(self.vision_variants)} is "
            f"for {device!r}; export it with --vision {(*order[1:], 'fp32')[0]}"
        )

    def language_variant(self, asked: str = "auto") -> str:
        """The language variant to run: `asked`, or the default, or the first that is there.

        Raises:
            InputError: `asked` is not in the bundle.
        """
        if asked != "auto":
            return _asked(asked, self.language_variants, "language")
        if self.language_default in self.language_variants:
            return self.language_default
        return next(iter(self.language_variants))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values in the order of the file format."""
        spec = self.spec.to_json()
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "commercial_use": self.commercial_use,
            "architecture": dict(self.architecture),
            "vision": spec["vision"]
            | {
                "variants": dict(self.vision_variants),
                "default": dict(self.vision_default),
                "one_by_one": list(self.one_by_one),
            },
            "language": {
                "variants": dict(self.language_variants),
                "default": self.language_default,
                "context": self.spec.context,
                "vocabulary": self.vocabulary,
            },
            "prompt": spec["prompt"],
            "boxes": spec["boxes"],
            **{key: value for key, value in spec.items() if key not in _PLACED},
            "tasks": list(self.tasks),
            "licences": list(self.licences),
            "provenance": dict(self.provenance),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """The reverse of `to_json`; unknown keys are ignored.

        Raises:
            InputError: a newer schema, or a key is missing or wrong.
        """
        try:
            if int(values["schema"]) > SCHEMA:
                raise InputError(
                    f"schema {values['schema']} is newer than this program, which reads up to "
                    f"{SCHEMA}; update skyeye-edge, or export the bundle with this version"
                )
            vision, language = values["vision"], values["language"]
            return cls(
                name=str(values["name"]),
                version=str(values["version"]),
                created=str(values["created"]),
                commercial_use=values["commercial_use"] is True,
                architecture=dict(values["architecture"]),
                spec=ModelSpec.from_json({**values, "context": language["context"]}),
                vocabulary=int(language["vocabulary"]),
                vision_variants=dict(vision["variants"]),
                vision_default=dict(vision["default"]),
                language_variants=dict(language["variants"]),
                language_default=str(language["default"]),
                tasks=tuple(values["tasks"]),
                licences=tuple(values["licences"]),
                files={name: _entry(entry) for name, entry in values["files"].items()},
                provenance=dict(values.get("provenance", {})),
                one_by_one=tuple(vision.get("one_by_one", _ONE_BY_ONE_UNSTATED)),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{error!r} is missing or wrong") from error


def read_manifest(path: Path) -> Manifest:
    """The manifest in a `manifest.json`.

    Raises:
        BundleError: unreadable, not JSON, newer than this program, or a key is missing or wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limits.MANIFEST_BYTES + 1)
        limits.check_at_most("bytes", len(content), limits.MANIFEST_BYTES)
        text = content.decode()
        limits.check_at_most("levels of brackets", limits.depth_of(text), limits.MANIFEST_DEPTH)
        return Manifest.from_json(json.loads(text))
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; is this folder a bundle?") from error
    except (ValueError, InputError) as error:
        raise BundleError(f"{path}: {error}") from error


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a `manifest.json`; the same manifest gives the same bytes."""
    text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _entry(values: Mapping[str, Any]) -> FileEntry:
    return FileEntry(str(values["sha256"]), int(values["bytes"]))


def _check_sizes(manifest: Manifest) -> None:
    """Refuse what no model is as large as: a library would ask for the memory, or end."""
    vision = manifest.spec.vision
    for what, found, limit in (
        ("files", len(manifest.files), limits.BUNDLE_FILES),
        ("vision.image_size", vision.image_size, limits.IMAGE_SIZE),
        ("vision.tokens", vision.tokens, limits.VISUAL_TOKENS),
        ("vision.width", vision.width, limits.WIDTH),
        ("language.context", manifest.spec.context, limits.CONTEXT),
        ("language.vocabulary", manifest.vocabulary, limits.VOCABULARY),
    ):
        if found < 1:
            raise InputError(f"{what}: {found}, at least 1 is needed")
        try:
            limits.check_at_most(what, found, limit)
        except ValueError as error:
            raise InputError(f"{error}") from error


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or re.search(r"[\\:\0]", name):
        raise InputError(f"file name {name!r}: only plain names inside the bundle are allowed")


def _asked(variant: str, variants: Mapping[str, str], side: str) -> str:
    if variant not in variants:
        raise InputError(
            f"{side} variant {variant!r} is not in the bundle; it has: {', '.join(variants)}"
        )
    return variant
