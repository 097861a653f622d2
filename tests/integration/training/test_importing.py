"""Published weights become a checkpoint that gives the original code's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import skyeye_edge as sky
from skyeye_edge.cli.main import main
from skyeye_edge.core.preprocess import preprocess
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.runtime.language import EncodedImage, LanguageModel, Request
from skyeye_edge.runtime.libllama import ContextOptions
from skyeye_edge.runtime.vision.onnx import OnnxVision
from skyeye_edge.training import SkyEyeModel
from skyeye_edge.training.data.collate import IMAGE, Tokenizer, tokenise

TRAINED = (
    "single_1",
    "conversation_1",
    "single_2_padded",
    "conversation_2_padded",
    "video_2_frames",
    "text_only_2",
)

Values = dict[str, Any]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    """Tiny weights in their published form, and what the original code makes of them."""
    return shared / "reference"


@pytest.fixture(scope="module")
def imported(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that the command line makes of them."""
    folder = tmp_path_factory.mktemp("imported") / "checkpoint"
    files = {"checkpoint": "minigptv2_tiny.pth", "vision": "eva_vit_tiny.pth", "llm": "llama_tiny"}
    given = [word for k, v in files.items() for word in (f"--{k}", str(reference / v))]
    assert main(["import", "minigptv2", *given, "--vision-heads", "4", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def model(imported: Path) -> SkyEyeModel:
    return SkyEyeModel.from_checkpoint(imported)


@pytest.fixture(scope="module")
def told(reference: Path) -> Values:
    values: Values = torch.load(reference / "llm_ref.pt", weights_only=True)
    return values


def pixels_of(model: SkyEyeModel, told: Values, images: list[int]) -> torch.Tensor:
    side = model.spec.vision.image_size
    found = [preprocess(told["source_uint8_hwc"][i].numpy(), model.spec.vision) for i in images]
    return torch.cat([torch.zeros(0, 3, side, side), *map(torch.from_numpy, found)])


@torch.inference_mode()
def test_the_imported_tower_shows_what_the_original_shows(
    model: SkyEyeModel, reference: Path
) -> None:
    seen = torch.load(reference / "vision_ref.pt", weights_only=True)

    visual_tokens = model.encode_image(seen["pixel_values"])

    torch.testing.assert_close(
        model.vision.pos_embed, seen["pos_embed_interpolated"], atol=1e-6, rtol=0
    )
    torch.testing.assert_close(visual_tokens, seen["llama_proj_out"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", TRAINED)
@torch.inference_mode()
def test_the_imported_model_has_the_losses_of_the_original(
    model: SkyEyeModel, told: Values, batch: str
) -> None:
    wanted = told["train"][batch]

    loss = model(
        pixels_of(model, told, wanted["image_index"]),
        wanted["input_ids"],
        wanted["labels"],
        wanted["attention_mask"],
    )["loss"]

    assert float(loss) == pytest.approx(float(wanted["loss"]), abs=1e-5)


@pytest.mark.parametrize("question", range(3))
@torch.inference_mode()
def test_the_imported_model_answers_as_the_original(
    model: SkyEyeModel, told: Values, question: int
) -> None:
    wanted = told["infer"][question]
    visual_tokens = model.encode_image(pixels_of(model, told, [wanted["image_index"]]))
    embedded = model.embed(torch.tensor([wanted["input_ids"]]), visual_tokens)

    logits = model.language_model(inputs_embeds=embedded).logits[0, -1]
    answer = embedded
    ids: list[int] = []
    for _ in wanted["greedy_ids"]:
        token = model.language_model(inputs_embeds=answer).logits[0, -1].argmax()
        ids.append(int(token))
        answer = torch.cat([answer, model.embed(token.reshape(1, 1), torch.zeros(0, 0, 0))], dim=1)

    torch.testing.assert_close(logits, wanted["last_logits"], atol=1e-4, rtol=0)
    assert ids == wanted["greedy_ids"]


@pytest.fixture(scope="module")
def bundle(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> sky.Bundle:
    """The strict export of the imported checkpoint, by the command line."""
    target = tmp_path_factory.mktemp("exported") / "bundle"
    variants = ["--vision", "fp32", "--language", "F32", "--parity", "never"]
    assert main(["export", str(imported), "-o", str(target), *variants]) == 0
    return sky.open_bundle(target)


@pytest.fixture(scope="module")
def encoder(bundle: sky.Bundle) -> Iterator[OnnxVision]:
    vision = OnnxVision(bundle.vision_file("fp32"), bundle.spec.vision)
    yield vision
    vision.close()


@pytest.fixture(scope="module")
def language(bundle: sky.Bundle) -> Iterator[LanguageModel]:
    options = ContextOptions(length=bundle.spec.context, sequences=1, exact=True)
    model = LanguageModel(bundle.language_file("F32"), options)
    yield model
    model.close()


@pytest.mark.parametrize("question", range(3))
def test_the_runtime_answers_as_the_original(
    bundle: sky.Bundle, encoder: OnnxVision, language: LanguageModel, told: Values, question: int
) -> None:
    wanted = told["infer"][question]
    image = told["source_uint8_hwc"][wanted["image_index"]].numpy()
    visual_tokens = encoder.encode(preprocess(image, bundle.spec.vision))[0]
    turns = [(asked, answer) for asked, answer in wanted["turns"]]
    segments = build_prompt(turns, [(1, 1)], bundle.spec, as_reference=True)

    picture = EncodedImage(visual_tokens, visual_tokens.tobytes())
    request = Request(segments, (picture,), max_tokens=len(wanted["greedy_ids"]))
    reply = language.generate([request])[0]

    assert list(reply.ids) == wanted["greedy_ids"]


def test_the_imported_model_reads_a_prompt_as_the_original(
    model: SkyEyeModel, told: Values
) -> None:
    tokenizer = Tokenizer(model.tokenizer_file)
    wanted = told["infer"][2]
    turns = [(asked, answer) for asked, answer in wanted["turns"]]

    segments = build_prompt(turns, [(1, 1)], model.spec, as_reference=True)

    ids, _ = tokenise(segments, tokenizer, model.spec.vision.tokens)
    assert ids == [number if number >= 0 else IMAGE for number in wanted["input_ids"]]
