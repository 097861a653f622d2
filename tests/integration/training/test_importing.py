"""Published weights become a checkpoint that gives the original code's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from skyeye_edge.cli.main import main
from skyeye_edge.core.preprocess import preprocess
from skyeye_edge.training import SkyEyeModel

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
