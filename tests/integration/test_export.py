"""The tracked checkpoint and what export makes of it, read by others and held against PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import onnx
import onnxruntime
import pytest
import sentencepiece
from transformers import AutoModelForCausalLM, AutoTokenizer

import skyeye_edge as sky
from skyeye_edge.core.bundle import verify_bundle
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.results import TaskResult
from skyeye_edge.evaluation import (
    GroundItem,
    ask_all,
    expected_calibration_error,
    ground_samples,
    scored_boxes,
)
from skyeye_edge.export import ExportReport, export_bundle
from skyeye_edge.export.parity import parity_tasks
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.predictor import CheckpointPredictor

SEEDS = range(1_000_000, 1_000_006)  # never trained on
LABELLED = range(1_000_200, 1_000_240)


@pytest.fixture(scope="module")
def checkpoint(repo: Path) -> Path:
    """The checkpoint behind the packaged bundle; SKYEYE_TEST_CHECKPOINT names another one."""
    given = os.environ.get("SKYEYE_TEST_CHECKPOINT")
    return Path(given) if given else repo / "checkpoints" / "skyeye-tiny"


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame(np.asarray(render_scene(seed).image)) for seed in SEEDS]


@pytest.fixture(scope="module")
def labelled() -> list[GroundItem]:
    scenes = [render_scene(seed) for seed in LABELLED]
    return [
        GroundItem(
            np.asarray(scene.image), scene.image.size, tuple(scene.phrases), tuple(scene.absent)
        )
        for scene in scenes
    ]


@pytest.fixture(scope="module")
def report(
    checkpoint: Path,
    frames: list[Frame],
    labelled: list[GroundItem],
    tmp_path_factory: pytest.TempPathFactory,
) -> ExportReport:
    return export_bundle(
        checkpoint,
        tmp_path_factory.mktemp("export") / "bundle",
        vision=["fp32", "int8"],
        language=["F32", "Q8_0"],
        frames=frames,
        labelled=labelled,
    )


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> sentencepiece.SentencePieceProcessor:
    tokenizer = checkpoint / "llm" / "tokenizer.model"
    return sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))


@pytest.fixture(scope="module")
def captions() -> list[str]:
    scenes = (render_scene(seed) for seed in range(1_000_100, 1_000_140))
    return [text for scene in scenes for text in (*scene.captions, *dict(scene.phrases))]


def tokens(results: Sequence[TaskResult]) -> list[tuple[int, ...]]:
    return [result.tokens for result in results]


def test_every_token_of_the_strict_bundle_is_the_checkpoints(report: ExportReport) -> None:
    row = next(row for row in report.parity if row.strict)

    assert row.answers == len(SEEDS) * len(parity_tasks((1, 1)))
    assert row.different == 0
    assert row.equal + len(row.ties) == row.answers
    assert row.visual_tokens < 1e-3


def test_the_public_ways_to_ask_give_the_same_tokens(
    checkpoint: Path, report: ExportReport, frames: list[Frame]
) -> None:
    frame = frames[0]
    tasks = parity_tasks(frame.size)
    is_tie = {tie.task for row in report.parity if row.strict for tie in row.ties if not tie.image}

    with sky.load(report.bundle, strict=True) as model:
        found = tokens(model.run(frame, tasks))

    predictor = CheckpointPredictor(checkpoint)
    predictor.spec = sky.open_bundle(report.bundle).spec  # its operating point was fitted at export
    expected = tokens(predictor.run(frame, tasks))
    kept = [number for number in range(len(tasks)) if number not in is_tie]
    assert [found[number] for number in kept] == [expected[number] for number in kept]


def test_the_packaged_precision_answers_mostly_as_the_checkpoint(report: ExportReport) -> None:
    row = next(row for row in report.parity if (row.vision, row.language) == ("int8", "Q8_0"))

    assert row.equal / row.answers >= 0.5


def test_the_packaged_bundle_is_the_export_of_the_tracked_checkpoint(
    tiny_bundle: Path, report: ExportReport
) -> None:
    packaged, exported = verify_bundle(tiny_bundle).manifest, verify_bundle(report.bundle).manifest

    assert packaged.provenance["checkpoint_sha256"] == exported.provenance["checkpoint_sha256"]
    assert replace(packaged.spec, scores=exported.spec.scores) == exported.spec
    assert packaged.tasks == exported.tasks
    assert packaged.one_by_one == exported.one_by_one == ("int8",)


def test_scores_of_an_exported_bundle_are_fitted_on_labelled_images(
    report: ExportReport, labelled: list[GroundItem]
) -> None:
    manifest = verify_bundle(report.bundle).manifest
    calibration = report.calibration

    assert calibration is not None
    assert manifest.spec.scores.calibration
    assert manifest.spec.scores.found_from is not None
    assert calibration.images == len(labelled)
    assert calibration.ece < calibration.ece_before
    assert manifest.provenance["calibration"] == json.loads(json.dumps(calibration.to_json()))
    with sky.load(report.bundle) as model:
        found = scored_boxes(ask_all(model, ground_samples(labelled)))
    assert expected_calibration_error(found) < 0.1
    assert len(found) == calibration.boxes


def test_the_checkpoint_scores_boxes_as_the_strict_bundle_does(
    checkpoint: Path, report: ExportReport, labelled: list[GroundItem]
) -> None:
    item = labelled[0]
    tasks = [sky.Ground(words) for words, _ in item.present[:4]]
    predictor = CheckpointPredictor(checkpoint)
    predictor.spec = sky.open_bundle(report.bundle).spec

    with sky.load(report.bundle, strict=True) as model:
        ours = model.run(item.image, tasks)
    theirs = predictor.run(item.image, tasks)

    assert [a.outcome for a in ours] == [b.outcome for b in theirs]
    assert [a.score for a in ours] == pytest.approx([b.score for b in theirs], abs=1e-3)


def test_llama_cpps_own_class_cuts_captions_as_sentencepiece_does(
    tiny_bundle: Path,
    reference: sentencepiece.SentencePieceProcessor,
    captions: list[str],
) -> None:
    file = sky.open_bundle(tiny_bundle).language_file("auto")
    llama = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)

    found = [llama.tokenize(text.encode(), add_bos=False, special=False) for text in captions]

    assert len(captions) > 200
    assert found == reference.encode(captions)


def test_a_thousand_real_captions_are_cut_as_sentencepiece_does(
    tiny_bundle: Path, reference: sentencepiece.SentencePieceProcessor, shared: Path
) -> None:
    images = json.loads((shared / "data" / "rsicd" / "captions.json").read_text("utf-8"))
    texts = sorted({text for image in images for text in image["captions"]})[:1000]
    file = sky.open_bundle(tiny_bundle).language_file("auto")
    llama = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)

    found = [llama.tokenize(text.encode(), add_bos=False, special=False) for text in texts]

    assert len(texts) == 1000
    assert found == reference.encode(texts)


def test_llama_cpps_own_class_computes_with_the_file(tiny_bundle: Path) -> None:
    bundle = sky.open_bundle(tiny_bundle)
    llama = llama_cpp.Llama(
        str(bundle.language_file("auto")), n_ctx=64, n_threads=1, logits_all=True, verbose=False
    )

    llama.eval(llama.tokenize(b"many planes are parked", add_bos=False))

    scores = np.asarray(llama.scores[: llama.n_tokens])
    assert scores.shape == (llama.n_tokens, bundle.manifest.vocabulary)
    assert scores.std() > 0.1


def test_plain_onnx_tools_take_the_vision_file(tiny_bundle: Path) -> None:
    bundle = sky.open_bundle(tiny_bundle)
    file = bundle.vision_file("auto")
    side, count, width = (
        bundle.spec.vision.image_size,
        bundle.spec.vision.tokens,
        bundle.spec.vision.width,
    )

    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"pixel_values": np.zeros((3, 3, side, side), np.float32)})

    assert np.asarray(found).shape == (3, count, width)


def test_transformers_opens_the_language_folder(
    checkpoint: Path,
    reference: sentencepiece.SentencePieceProcessor,
    captions: list[str],
) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint / "llm")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint / "llm")

    found = tokenizer(captions, add_special_tokens=False)["input_ids"]

    assert model.config.vocab_size >= reference.get_piece_size()
    assert found == reference.encode(captions)
