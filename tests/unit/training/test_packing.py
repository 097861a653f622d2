from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from skyeye_edge.core.boxes import Box
from skyeye_edge.core.results import GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Ground
from skyeye_edge.training.data.collate import IGNORED, Tokenizer, build_sample, collate
from skyeye_edge.training.data.packing import pack, stack
from skyeye_edge.training.data.record import Record, Turn
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.tiny import build_model
from skyeye_edge.training.pretrain.vocabulary import train_vocabulary

TURNS = (
    Turn(Caption(), TextResult("caption", "text", "many planes are near a road .")),
    Turn(Ask("how many boats are there?"), TextResult("ask", "text", "two")),
    Turn(Ground("the boat"), GroundResult("the boat", "found", (Box((10.0, 20.0, 30.0, 40.0)),))),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SkyEyeModel:
    chance = random.Random(0)
    words = [
        "".join(chance.choices("aeioubcdflmnprst", k=chance.randint(2, 7))) for _ in range(300)
    ]
    corpus = [" ".join(chance.choices(words, k=8)) for _ in range(500)]
    file = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    model = build_model(train_vocabulary(corpus, file, 600, 100), seed=0)
    model.eval()
    return model


def test_a_box_edge_is_one_token(model: SkyEyeModel) -> None:
    ids = Tokenizer(model.tokenizer_file).encode("{<0><20><99><100>}")

    assert len(ids) == 6


@torch.no_grad()
def test_packed_questions_do_not_see_each_other(model: SkyEyeModel) -> None:
    tokenizer = Tokenizer(model.tokenizer_file)
    rgb = np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)

    packed = stack([pack([(turn, 1.0) for turn in TURNS], (112, 112), model.spec, tokenizer, 300)])
    alone = [build_sample(Record((rgb,), (turn,)), model.spec, tokenizer, 300) for turn in TURNS]

    together = _logits_when_packed(model, packed, torch.from_numpy(alone[0].pixels))
    apart = torch.cat([_logits_alone(model, collate([sample])) for sample in alone])
    assert torch.allclose(together, apart, atol=1e-4)


def test_weights_are_shared_among_the_tokens_of_an_answer(model: SkyEyeModel) -> None:
    tokenizer = Tokenizer(model.tokenizer_file)

    row = pack([(turn, 2.0) for turn in TURNS], (112, 112), model.spec, tokenizer, 300)

    assert sum(row.weights) == pytest.approx(2.0 * len(TURNS))
    assert all(
        (w > 0) == (label != IGNORED) for w, label in zip(row.weights, row.labels, strict=True)
    )


def test_a_question_beyond_the_limit_is_left_out_whole(model: SkyEyeModel) -> None:
    tokenizer = Tokenizer(model.tokenizer_file)
    first = pack([(TURNS[0], 1.0)], (112, 112), model.spec, tokenizer, 300)

    row = pack([(t, 1.0) for t in TURNS], (112, 112), model.spec, tokenizer, len(first.ids))

    assert row == first


def _logits_when_packed(
    model: SkyEyeModel, row: dict[str, torch.Tensor], pixels: torch.Tensor
) -> torch.Tensor:
    hidden = model.language_model.model(
        inputs_embeds=model.embed(row["ids"], model.encode_image(pixels)),
        attention_mask=row["mask"],
        position_ids=row["positions"],
        use_cache=False,
    ).last_hidden_state
    return model.language_model.lm_head(hidden[row["labels"] != IGNORED])


def _logits_alone(model: SkyEyeModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = model(**batch)["logits"]
    learnt = torch.roll(batch["labels"], -1, dims=1) != IGNORED
    return logits[learnt]
