"""Nothing damaged, foreign or newer gets past the opening of a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skyeye_edge.core.bundle import Bundle, open_bundle, verify_bundle
from skyeye_edge.core.errors import BundleError, InputError

Rewrite = Callable[..., None]
LlamaGguf = Callable[..., bytes]

both = pytest.mark.parametrize("check", [open_bundle, verify_bundle])


def make_old(file: Path) -> None:
    """As if written a minute ago: what is fresh is never remembered."""
    seconds = file.stat().st_mtime - 60
    os.utime(file, (seconds, seconds))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.fixture
def settled_folder(bundle_folder: Path) -> Path:
    """A bundle whose files are old enough to be remembered."""
    for file in bundle_folder.iterdir():
        make_old(file)
    return bundle_folder


@both
def test_a_whole_bundle_opens(bundle_folder: Path, check: Any) -> None:
    bundle: Bundle = check(bundle_folder)

    assert bundle.manifest.name == "mini"
    assert bundle.spec.vision.tokens == 16
    assert bundle.vision_file("int8") == bundle_folder / "vision.int8.onnx"
    assert bundle.vision_file("auto") == bundle_folder / "vision.int8.onnx"
    assert bundle.language_file("auto") == bundle_folder / "llm.f32.gguf"
    assert len(bundle.sha256) == 64


def test_a_path_may_be_a_text_and_end_in_a_slash(bundle_folder: Path) -> None:
    assert open_bundle(f"{bundle_folder}/").manifest.name == "mini"


def test_the_hash_of_a_bundle_changes_with_any_file(bundle_folder: Path, rewrite: Rewrite) -> None:
    before = open_bundle(bundle_folder).sha256

    rewrite({"vision.int8.onnx": b"seven bits"})

    assert open_bundle(bundle_folder).sha256 != before


def test_an_unknown_variant_is_a_wrong_request(bundle_folder: Path) -> None:
    with pytest.raises(InputError, match="'fp16' is not in the bundle"):
        open_bundle(bundle_folder).vision_file("fp16")


@both
@pytest.mark.parametrize("name", ["vision.fp32.onnx", "vision.int8.onnx", "llm.f32.gguf"])
def test_one_flipped_byte_is_found(bundle_folder: Path, name: str, check: Any) -> None:
    flip(bundle_folder / name)

    with pytest.raises(BundleError, match=f"{name}: damaged.*copy the bundle again"):
        check(bundle_folder)


@both
def test_a_cut_file_is_found_by_its_size(bundle_folder: Path, check: Any) -> None:
    file = bundle_folder / "vision.int8.onnx"
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(BundleError, match="9 bytes, the manifest says 10"):
        check(bundle_folder)


@both
def test_a_missing_file_is_named(bundle_folder: Path, check: Any) -> None:
    (bundle_folder / "vision.int8.onnx").unlink()

    with pytest.raises(BundleError, match=r"vision\.int8\.onnx: missing"):
        check(bundle_folder)


@both
def test_a_folder_without_a_manifest_is_no_bundle(bundle_folder: Path, check: Any) -> None:
    (bundle_folder / "manifest.json").unlink()

    with pytest.raises(BundleError, match="is this folder a bundle"):
        check(bundle_folder)


@both
def test_a_newer_bundle_asks_for_an_update(
    bundle_folder: Path, rewrite: Rewrite, check: Any
) -> None:
    rewrite(schema=2)

    with pytest.raises(BundleError, match=r"schema 2 is newer.*update skyeye-edge"):
        check(bundle_folder)


@both
@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_name_that_leads_out_is_refused(bundle_folder: Path, name: str, check: Any) -> None:
    (bundle_folder.parent / "outside").write_bytes(b"secret")
    values = json.loads((bundle_folder / "manifest.json").read_text("utf-8"))
    values["files"][name] = {"sha256": "0" * 64, "bytes": 6}
    (bundle_folder / "manifest.json").write_text(json.dumps(values), encoding="utf-8")

    with pytest.raises(BundleError, match="only plain names inside the bundle"):
        check(bundle_folder)


@both
def test_a_link_out_of_the_bundle_is_refused(bundle_folder: Path, check: Any) -> None:
    file = bundle_folder / "vision.int8.onnx"
    shutil.move(file, bundle_folder.parent / "elsewhere")
    file.symlink_to(bundle_folder.parent / "elsewhere")

    with pytest.raises(BundleError, match=r"vision\.int8\.onnx: a link"):
        check(bundle_folder)


@both
def test_a_linked_folder_inside_the_bundle_is_refused(
    bundle_folder: Path, rewrite: Rewrite, check: Any
) -> None:
    (bundle_folder.parent / "elsewhere").mkdir()
    (bundle_folder / "sub").symlink_to(bundle_folder.parent / "elsewhere")
    rewrite({"sub/card.md": b"card"})

    with pytest.raises(BundleError, match="a link"):
        check(bundle_folder)


def test_a_bundle_may_itself_be_reached_through_a_link(bundle_folder: Path) -> None:
    link = bundle_folder.with_name("current")
    link.symlink_to(bundle_folder)

    assert open_bundle(link).manifest.name == "mini"


@both
def test_a_gguf_with_fewer_tokens_than_the_manifest_says_is_refused(
    bundle_folder: Path, rewrite: Rewrite, llama_gguf: LlamaGguf, check: Any
) -> None:
    tokens = [b"<unk>", b"<s>", b"</s>", b"a"]
    rewrite({"llm.f32.gguf": llama_gguf(tokenizer__ggml__tokens=tokens)})

    with pytest.raises(BundleError, match=r"llm\.f32\.gguf: vocabulary is 4, the manifest says 5"):
        check(bundle_folder)


@both
def test_a_gguf_of_another_width_is_refused(
    bundle_folder: Path, rewrite: Rewrite, llama_gguf: LlamaGguf, check: Any
) -> None:
    rewrite({"llm.f32.gguf": llama_gguf(llama__embedding_length=16)})

    with pytest.raises(BundleError, match="width is 16, the manifest says 8"):
        check(bundle_folder)


def test_a_bundle_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: no such bundle"):
        open_bundle(tmp_path / "nowhere")


def test_a_file_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    with pytest.raises(BundleError, match="a bundle is a folder"):
        open_bundle(tmp_path / "model.gguf")


def test_an_interrupted_replacement_says_how_to_restore(bundle_folder: Path) -> None:
    bundle_folder.rename(bundle_folder.with_name("mini.old"))

    with pytest.raises(BundleError, match=r"mv '.*mini\.old' '.*mini'"):
        open_bundle(bundle_folder)


def test_opening_remembers_hashes_and_verifying_does_not(
    settled_folder: Path, cache_home: Path
) -> None:

    verify_bundle(settled_folder)
    after_verifying = cache_home.exists()
    open_bundle(settled_folder)

    assert not after_verifying
    assert len(list((cache_home / "skyeye-edge" / "sha256").iterdir())) == 3


def test_verifying_does_not_believe_what_is_remembered(
    settled_folder: Path, cache_home: Path
) -> None:
    open_bundle(settled_folder)
    honest = set(cache_home.rglob("sha256/*"))
    file = settled_folder / "vision.int8.onnx"
    good = hashlib.sha256(file.read_bytes()).hexdigest()
    flip(file)
    make_old(file)
    with pytest.raises(BundleError, match="damaged"):
        open_bundle(settled_folder)

    (note,) = set(cache_home.rglob("sha256/*")) - honest
    note.write_text(good)

    open_bundle(settled_folder)
    with pytest.raises(BundleError, match="damaged"):
        verify_bundle(settled_folder)


def test_a_note_that_a_power_cut_emptied_is_made_again(
    settled_folder: Path, cache_home: Path
) -> None:
    open_bundle(settled_folder)
    notes = list(cache_home.rglob("sha256/*"))
    for note in notes:
        note.write_bytes(b"")

    open_bundle(settled_folder)

    assert {len(note.read_text()) for note in notes} == {64}


def test_a_file_changed_in_place_is_found_though_hashes_are_remembered(
    settled_folder: Path,
) -> None:
    open_bundle(settled_folder)
    file = settled_folder / "vision.int8.onnx"
    before = file.stat()

    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(BundleError, match="damaged"):
        open_bundle(settled_folder)


def test_a_home_that_cannot_be_written_is_no_obstacle(
    settled_folder: Path, cache_home: Path
) -> None:
    cache_home.write_text("not a folder")

    assert open_bundle(settled_folder).manifest.name == "mini"
