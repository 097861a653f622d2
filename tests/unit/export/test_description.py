"""What a bundle says about itself, without a clock."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.export.description import checkpoint_sha256, created, describe
from skyeye_edge.training.model.skyeye import SkyEyeModel


def test_the_date_is_the_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    assert created("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05Z"


def test_source_date_epoch_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")

    assert created("2026-01-02T03:04:05Z") == "1970-01-02T00:00:00Z"


def test_a_wrong_source_date_epoch_is_a_wrong_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    with pytest.raises(InputError, match="yesterday"):
        created("")


def test_the_hash_of_a_checkpoint_follows_its_weights_but_not_its_card(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    before = checkpoint_sha256(copy)

    (copy / "MODEL_CARD.md").write_text("words", "utf-8")
    with_card = checkpoint_sha256(copy)
    (copy / "llm" / "config.json").write_text("{}", "utf-8")

    assert before == with_card == checkpoint_sha256(checkpoint)
    assert checkpoint_sha256(copy) != before


def test_files_are_listed_with_size_and_hash(
    checkpoint: Path, random_model: SkyEyeModel, tmp_path: Path
) -> None:
    for name in ("vision.fp32.onnx", "llm.f32.gguf"):
        (tmp_path / name).write_bytes(b"abc")

    manifest = describe(
        random_model.info, random_model.spec, checkpoint, tmp_path, ["fp32"], ["F32"]
    )

    entry = manifest.files["vision.fp32.onnx"]
    assert (entry.bytes, entry.sha256[:8]) == (3, "ba7816bf")
    assert (manifest.vocabulary, manifest.language_default) == (512, "F32")
