"""A checkpoint becomes a bundle that the runtime opens: whole, reproducible, or not at all."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.bundle import verify_bundle
from skyeye_edge.core.errors import CheckpointError, InputError, SkyEyeError
from skyeye_edge.core.frame import Frame
from skyeye_edge.export.bundle import ExportReport, export_bundle

CHILD = """
import sys
import numpy as np
from skyeye_edge.core.frame import Frame
from skyeye_edge.export.bundle import export_bundle
frames = [Frame(np.full((60, 80, 3), 90, np.uint8))]
export_bundle(sys.argv[1], sys.argv[2], frames=frames, replace=True)
"""

TWICE = """
import sys
import numpy as np
from skyeye_edge.core.frame import Frame
from skyeye_edge.export.bundle import export_bundle
frames = [Frame(np.full((60, 80, 3), 90, np.uint8))]
variants = {"vision": ["fp16", "int8"], "language": ["Q4_K_M"]}
export_bundle(sys.argv[1], sys.argv[2], frames=frames, **variants)
"""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    noise = np.random.default_rng(0)
    return [Frame(noise.integers(0, 255, (60, 80, 3), dtype=np.uint8))]


@pytest.fixture(scope="module")
def report(
    checkpoint: Path, frames: list[Frame], tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    with_card = Path(shutil.copytree(checkpoint, tmp_path_factory.mktemp("carded") / "checkpoint"))
    (with_card / "MODEL_CARD.md").write_text("# Card\n", "utf-8")
    (with_card / "LICENSE").write_text("Words\n", "utf-8")
    return export_bundle(
        with_card,
        tmp_path_factory.mktemp("out") / "bundle",
        vision=["fp32", "int8"],
        language=["F32", "Q8_0"],
        frames=frames,
    )


def test_a_bundle_is_whole_and_says_what_the_checkpoint_said(report: ExportReport) -> None:
    bundle = verify_bundle(report.bundle)

    manifest = bundle.manifest
    assert (manifest.name, manifest.created) == ("random", "2026-01-02T03:04:05Z")
    assert (manifest.tasks, manifest.commercial_use) == (("caption", "ground"), False)
    assert (manifest.vision_variant(), manifest.language_variant()) == ("int8", "Q8_0")
    assert set(manifest.files) == {path.name for path in report.bundle.iterdir()} - {
        "manifest.json"
    }


def test_nothing_but_the_bundle_is_left(report: ExportReport) -> None:
    assert [path.name for path in report.bundle.parent.iterdir()] == ["bundle"]
    assert [path for path in report.bundle.iterdir() if path.is_dir()] == []


def test_card_and_licence_come_along(report: ExportReport) -> None:
    assert (report.bundle / "MODEL_CARD.md").read_text("utf-8") == "# Card\n"
    assert (report.bundle / "LICENSE").read_text("utf-8") == "Words\n"


def test_in_the_strict_pair_every_token_of_a_random_model_is_equal(report: ExportReport) -> None:
    row = next(row for row in report.parity if row.strict)

    assert (row.vision, row.language, row.answers) == ("fp32", "F32", 8)
    assert (row.different, row.equal + len(row.ties)) == (0, 8)
    assert row.tokens > 100
    assert row.visual_tokens < 1e-3


def test_parity_has_a_row_for_every_pair_and_neither_times_nor_host(report: ExportReport) -> None:
    values = json.loads((report.bundle / "parity.json").read_text("utf-8"))

    pairs = [(row["vision"], row["language"]) for row in values["rows"]]
    assert pairs == [("fp32", "F32"), ("fp32", "Q8_0"), ("int8", "F32"), ("int8", "Q8_0")]
    assert set(values) == {"schema", "images", "tasks", "rows"}


def test_where_the_checkpoint_does_not_fit_into_memory_parity_is_left_out_and_said_to_be(
    checkpoint: Path, frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 1000 kB\n")
    monkeypatch.setattr("skyeye_edge.core.memory._MEMORY_FACTS", tmp_path / "meminfo")
    said: list[str] = []

    report = export_bundle(
        checkpoint, tmp_path / "bundle", vision=["fp32"], frames=frames, tell=said.append
    )

    assert report.parity == ()
    assert not (tmp_path / "bundle" / "parity.json").exists()
    assert any("parity is not measured" in line and "--parity always" in line for line in said)
    assert verify_bundle(report.bundle).manifest.name == "random"


def test_the_report_lists_the_types_that_were_read_back(report: ExportReport) -> None:
    types = {file.name: file.content for file in report.files}

    assert (types["llm.q8_0.gguf"], types["llm.f32.gguf"]) == ("16 Q8_0", "16 F32")


def test_two_exports_are_equal_byte_by_byte_in_another_process_and_place(
    checkpoint: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here" / "bundle", tmp_path / "there" / "deep" / "bundle"

    for target, seed in ((here, "1"), (there, "2")):
        target.parent.mkdir(parents=True)
        command = [sys.executable, "-c", TWICE, str(checkpoint), str(target)]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        subprocess.run(command, check=True, cwd=target.parent, env=environment)

    names = sorted(path.name for path in here.iterdir())
    assert filecmp.cmpfiles(here, there, names, shallow=False) == (names, [], [])
    assert names == sorted(path.name for path in there.iterdir())


def test_an_existing_target_is_refused_before_any_work(
    report: ExportReport, checkpoint: Path
) -> None:
    with pytest.raises(InputError, match="--replace"):
        export_bundle(checkpoint, report.bundle)


@pytest.mark.parametrize(
    ("vision", "language", "message"),
    [(["int3"], ["Q8_0"], "int3"), (["int8"], ["Q3"], "Q3"), ([], ["Q8_0"], "no vision variant")],
)
def test_unknown_variants_are_a_wrong_request_and_leave_nothing(
    checkpoint: Path,
    frames: list[Frame],
    tmp_path: Path,
    vision: list[str],
    language: list[str],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        export_bundle(
            checkpoint, tmp_path / "bundle", vision=vision, language=language, frames=frames
        )

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["skyeye.json", "vision.safetensors", "llm/tokenizer.model"])
def test_a_checkpoint_with_a_missing_file_is_named_and_leaves_nothing(
    checkpoint: Path, frames: list[Frame], tmp_path: Path, name: str
) -> None:
    spoilt = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    (spoilt / name).unlink()

    with pytest.raises(CheckpointError, match=Path(name).name):
        export_bundle(spoilt, tmp_path / "bundle", frames=frames)

    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.root
@pytest.mark.parametrize(
    "mebibytes",
    [
        pytest.param(4, id="full while Python writes"),
        pytest.param(6, id="full while libllama writes"),
    ],
)
def test_a_full_disk_is_said_and_the_old_bundle_stays(
    checkpoint: Path, frames: list[Frame], tmp_path: Path, mebibytes: int
) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(tmp_path)], check=True
    )
    try:
        old = tmp_path / "bundle"
        old.mkdir()
        (old / "manifest.json").write_text("old", "utf-8")

        with pytest.raises(SkyEyeError) as caught:
            export_bundle(checkpoint, old, frames=frames, replace=True)

        assert caught.value.exit_code == 1
        assert "space" in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
        assert (old / "manifest.json").read_text("utf-8") == "old"
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_killed_in_the_middle_the_old_bundle_stays_whole(
    report: ExportReport, checkpoint: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(report.bundle, tmp_path / "bundle"))
    before = verify_bundle(old).sha256

    with subprocess.Popen([sys.executable, "-c", CHILD, str(checkpoint), str(old)]) as child:
        written = tmp_path / ".bundle.exporting" / "llm.q8_0.gguf"
        limit = time.monotonic() + 300
        while not written.exists() and time.monotonic() < limit and child.poll() is None:
            time.sleep(0.01)
        child.kill()

    assert child.returncode == -9
    assert verify_bundle(old).sha256 == before
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", ".bundle.exporting"}
