"""The manifest is read once into values that can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import BundleError, InputError
from skyeye_edge.core.manifest import FileEntry, Manifest, read_manifest, write_manifest
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.spec import ModelSpec, PromptSpec, VisionSpec

Values = dict[str, Any]


def test_a_manifest_comes_back_as_it_was_written(manifest_values: Values, tmp_path: Path) -> None:
    manifest = Manifest.from_json(manifest_values)

    write_manifest(manifest, tmp_path / "manifest.json")

    assert read_manifest(tmp_path / "manifest.json") == manifest
    assert json.loads((tmp_path / "manifest.json").read_text("utf-8")) == manifest_values


def test_the_same_manifest_gives_the_same_bytes(manifest_values: Values, tmp_path: Path) -> None:
    write_manifest(Manifest.from_json(manifest_values), tmp_path / "a")
    write_manifest(Manifest.from_json(json.loads(json.dumps(manifest_values))), tmp_path / "b")

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


names = st.text("abcé._-", min_size=1).filter(lambda name: name.strip("."))
entries = st.builds(
    FileEntry, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0)
)
triples = st.tuples(*[st.floats(0.1, 1)] * 3)


@given(
    spec=st.builds(
        ModelSpec,
        st.builds(VisionSpec, st.integers(1, 999), st.integers(1, 999), st.integers(1, 9999)),
        st.builds(
            PromptSpec,
            train_form=st.sampled_from(["train", "infer"]),
            infer_form=st.sampled_from(["train", "infer"]),
        ),
        st.builds(
            BoxSpec, st.integers(1, 1000), st.sampled_from(["rounded", "truncated"]), st.text("ab")
        ),
        st.integers(1, 10**6),
        st.builds(
            ScoreSpec,
            st.floats(0, 1),
            st.sampled_from([(), ((0.0, 0.0), (0.5, 0.25), (1.0, 1.0))]),
            st.none() | st.floats(0, 1, exclude_max=True),
        ),
        st.integers(0, 64),
    ),
    files=st.dictionaries(names, entries, min_size=1),
    words=st.lists(st.text(), max_size=3).map(tuple),
    commercial=st.booleans(),
)
def test_every_manifest_survives_its_json(
    spec: ModelSpec, files: dict[str, FileEntry], words: tuple[str, ...], commercial: bool
) -> None:
    name = next(iter(files))
    manifest = Manifest(
        "m", "1", "now", commercial, {"vision": "eva"}, spec, 5, {"fp32": name}, {"cpu": "fp32"},
        {"F32": name}, "F32", words, words, files, {"data": list(words)},
    )  # fmt: skip

    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_a_manifest_says_which_variants_take_one_image_at_a_time(manifest_values: Values) -> None:
    manifest_values["vision"] |= {"one_by_one": ["w8"]}

    assert Manifest.from_json(manifest_values).one_by_one == ("w8",)


def test_an_older_manifest_that_does_not_say_so_means_int8(manifest_values: Values) -> None:
    del manifest_values["vision"]["one_by_one"]

    assert Manifest.from_json(manifest_values).one_by_one == ("int8",)


def test_unknown_keys_are_ignored(manifest_values: Values) -> None:
    later = manifest_values | {"mood": "good", "vision": manifest_values["vision"] | {"mood": 1}}

    assert Manifest.from_json(later) == Manifest.from_json(manifest_values)


def test_a_newer_schema_is_refused(manifest_values: Values) -> None:
    with pytest.raises(InputError, match=r"schema 2 is newer than this program.*update"):
        Manifest.from_json(manifest_values | {"schema": 2})


@pytest.mark.parametrize(
    "key",
    ["schema", "name", "architecture", "vision", "language", "commercial_use", "prompt", "boxes",
     "tasks", "licences", "files"],
)  # fmt: skip
def test_a_missing_key_is_named(manifest_values: Values, key: str) -> None:
    del manifest_values[key]

    with pytest.raises(InputError, match=f"'{key}'.*missing or wrong"):
        Manifest.from_json(manifest_values)


@pytest.mark.parametrize("key", ["schema", "vision", "language", "prompt", "boxes", "files"])
@pytest.mark.parametrize("value", ["?", None, [1]])
def test_a_value_of_the_wrong_kind_is_refused(
    manifest_values: Values, key: str, value: Any
) -> None:
    with pytest.raises(InputError, match="missing or wrong"):
        Manifest.from_json(manifest_values | {key: value})


@pytest.mark.parametrize(
    "name",
    ["../llm.gguf", "/etc/passwd", "a/../../b", "..", "a\\b", "C:evil", "a\0b", "", "./a", "a//b"],
)
def test_a_name_that_leads_elsewhere_is_refused(manifest_values: Values, name: str) -> None:
    files = manifest_values["files"] | {name: manifest_values["files"]["llm.f32.gguf"]}

    with pytest.raises(InputError, match="only plain names"):
        Manifest.from_json(manifest_values | {"files": files})


def test_a_variant_without_a_hash_is_refused(manifest_values: Values) -> None:
    language = manifest_values["language"] | {"variants": {"F32": "other.gguf"}}

    with pytest.raises(InputError, match=r"'other\.gguf' is a variant, but its hash"):
        Manifest.from_json(manifest_values | {"language": language})


def test_a_side_without_any_file_is_refused(manifest_values: Values) -> None:
    language = manifest_values["language"] | {"variants": {}}

    with pytest.raises(InputError, match="at least one"):
        Manifest.from_json(manifest_values | {"language": language})


@pytest.mark.parametrize(
    ("asked", "device", "variant"),
    [
        pytest.param("auto", "cpu", "int8", id="the default"),
        pytest.param("auto", "cuda", "fp32", id="the default is not there: the next"),
        pytest.param("fp32", "cpu", "fp32", id="what was asked for"),
    ],
)
def test_the_vision_variant_that_runs(
    manifest_values: Values, asked: str, device: str, variant: str
) -> None:
    assert Manifest.from_json(manifest_values).vision_variant(asked, device) == variant


def test_a_bundle_without_a_variant_for_the_device_says_what_to_export(
    manifest_values: Values,
) -> None:
    vision = manifest_values["vision"] | {"variants": {"int8": "vision.int8.onnx"}}
    manifest = Manifest.from_json(manifest_values | {"vision": vision})

    with pytest.raises(InputError, match="'tensorrt'; export it with --vision fp16"):
        manifest.vision_variant("auto", "tensorrt")


def test_the_language_default_falls_back_to_what_is_there(manifest_values: Values) -> None:
    assert Manifest.from_json(manifest_values).language_variant() == "F32"


def test_a_variant_that_is_not_there_is_a_wrong_request(manifest_values: Values) -> None:
    manifest = Manifest.from_json(manifest_values)

    with pytest.raises(InputError, match="'Q4_0' is not in the bundle; it has: F32"):
        manifest.language_variant("Q4_0")
    with pytest.raises(InputError, match="'fp16' is not in the bundle; it has: fp32, int8"):
        manifest.vision_variant("fp16")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_file_that_is_no_manifest_is_a_bundle_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)

    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(("digest", "size"), [("00", 1), ("g" * 64, 1), ("0" * 64, -1)])
def test_what_is_no_hash_or_size_is_refused(digest: str, size: int) -> None:
    with pytest.raises(InputError, match="no hash and size"):
        FileEntry(digest, size)
