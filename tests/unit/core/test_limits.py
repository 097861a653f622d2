"""Whatever stands in a bundle, it is read or refused, and nothing else happens."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from skyeye_edge.core import limits
from skyeye_edge.core.bundle import verify_bundle
from skyeye_edge.core.errors import BundleError
from skyeye_edge.core.gguf_header import check_gguf, read_gguf_header
from skyeye_edge.core.manifest import read_manifest

Rewrite = Callable[..., None]
LlamaGguf = Callable[..., bytes]
anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def giant(layout: str, *values: object) -> bytes:
    return b"GGUF" + struct.pack("<I", 3) + struct.pack("<" + layout, *values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (giant("QQ", 2**40, 0), "tensors: 1,099,511,627,776, at most"),
        (giant("QQ", 0, 2**40), "values: 1,099,511,627,776, at most"),
        (giant("QQQ", 0, 1, 2**40), "bytes of a text: 1,099,511,627,776, at most"),
        (
            giant("QQQ3sIIQ", 0, 1, 3, b"key", 9, 8, 2**60),
            "entries of an array: 1,152,921,504,606,846,976, at most",
        ),
    ],
    ids=["tensors", "values", "text", "array"],
)
def test_a_gguf_that_announces_giants_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "x.gguf").write_bytes(content)

    with pytest.raises(BundleError, match=message):
        read_gguf_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("key", ["block_count", "attention__head_count"])
@pytest.mark.parametrize("number", [0, 2**31])
def test_layers_and_heads_are_checked(
    tmp_path: Path, llama_gguf: LlamaGguf, key: str, number: int
) -> None:
    (tmp_path / "x.gguf").write_bytes(llama_gguf(**{f"llama__{key}": number}))

    with pytest.raises(BundleError, match="1 to 4,096 can be"):
        check_gguf(tmp_path / "x.gguf", vocabulary=5, width=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "levels of brackets: 100,000, at most 32"),
        (" " * 2_000_000, "bytes: 1,048,577, at most 1,048,576"),
        ('{"schema": 1e999}', "missing or wrong"),
        ('{"schema": ' + "9" * 5000 + "}", "manifest.json"),
        ("\ud800", "manifest.json"),
    ],
    ids=["deep", "long", "infinite", "many digits", "no UTF-8"],
)
def test_a_manifest_that_would_take_all_memory_or_depth_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(BundleError, match=message):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("vision", "image_size", 10**6),
        ("vision", "tokens", 10**9),
        ("vision", "width", 2**31),
        ("language", "context", 2**40),
        ("language", "context", 0),
        ("language", "vocabulary", 2**40),
    ],
)
def test_sizes_that_no_model_has_are_refused(
    bundle_folder: Path, rewrite: Rewrite, part: str, key: str, value: int
) -> None:
    values = json.loads((bundle_folder / "manifest.json").read_text("utf-8"))
    rewrite(**{part: values[part] | {key: value}})

    with pytest.raises(BundleError, match=rf"{part}\.{key}|at least 1"):
        verify_bundle(bundle_folder)


@given(data=some.data())
def test_any_value_anywhere_in_a_manifest_is_read_or_refused(
    data: some.DataObject, bundle_folder: Path
) -> None:
    file = bundle_folder / "manifest.json"
    good = file.read_bytes()
    values = json.loads(good)
    place: Any = values
    while isinstance(place, dict) and place:
        key = data.draw(some.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(some.booleans()):
            place[key] = data.draw(anything)
            break
        place = place[key]
    try:
        file.write_text(json.dumps(values), "utf-8")
        verify_bundle(bundle_folder)
    except BundleError as error:
        assert str(error)
    finally:
        file.write_bytes(good)


@given(content=some.binary(max_size=400))
@example(content=b"[" * 400)
@example(content=b'{"schema": 1}')
def test_any_bytes_are_a_manifest_or_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)

    with pytest.raises(BundleError):
        read_manifest(tmp_path / "manifest.json")


@given(place=some.integers(0, 400), new=some.binary(min_size=1, max_size=12))
def test_a_gguf_with_any_bytes_changed_is_read_or_refused(
    place: int, new: bytes, tmp_path: Path, llama_gguf: LlamaGguf
) -> None:
    content = bytearray(llama_gguf())
    content[place : place + len(new)] = new
    (tmp_path / "x.gguf").write_bytes(content)

    try:
        check_gguf(tmp_path / "x.gguf", vocabulary=5, width=8)
    except BundleError as error:
        assert str(error)


@given(text=some.text(max_size=200))
def test_a_session_description_of_any_text_is_measured(text: str) -> None:
    limits.check_sdp(text)


@pytest.mark.parametrize("text", ["a" * 100_000, "v=0\r\n" * 1000], ids=["bytes", "lines"])
def test_a_giant_session_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="of the description"):
        limits.check_sdp(text)


def test_the_table_of_limits_is_the_one_of_the_page(repo: Path) -> None:
    page = (repo / "docs" / "safety.md").read_text("utf-8")
    stated = re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) \|", page, re.M)

    assert {name: int(value.replace(",", "")) for name, value in stated} == limits.table()
