"""Models of the LLaVA-1.5 family become checkpoints that answer as transformers does."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

import skyeye_edge as sky
from skyeye_edge.cli.main import main
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import preprocess
from skyeye_edge.core.prompt import build_prompt
from skyeye_edge.core.tasks import Ask, Caption
from skyeye_edge.export import export_bundle
from skyeye_edge.training import CheckpointPredictor, SkyEyeModel, merge, train
from skyeye_edge.training.data.collate import IMAGE
from tests.integration.training.llava_models import (
    SIDE,
    SYSTEM,
    build_model,
    original_config,
    original_names,
    picture,
    processor_of,
    renamed_file,
    restless,
    save_llama,
    save_tower,
    tokenizer_of,
)

IMAGE_TOKEN = 32000
QUESTION = "How many boats are there at the quay?"
PROMPT = f"{SYSTEM} USER: <image>\n{QUESTION} ASSISTANT:"
ALPHA, RANK = 16.0, 4


@dataclass(frozen=True)
class Saved:
    """A model as its authors give it away, and what it is in transformers."""

    model: Any
    processor: Any
    folders: tuple[str, ...]  # options of `import llava`


def save_hugging_face(work: Path, llama: Path, rename: Callable[[str], str | None]) -> Saved:
    model, tokenizer = build_model(), tokenizer_of(llama)
    processor = processor_of(tokenizer)
    model.save_pretrained(work / "llava")
    processor.save_pretrained(work / "llava")
    renamed_file(work / "llava", rename)
    return Saved(model, processor, ("--model", str(work / "llava")))


def of_now(work: Path, llama: Path) -> Saved:
    return save_hugging_face(work, llama, lambda name: name)


def of_version_4(work: Path, llama: Path) -> Saved:
    return save_hugging_face(
        work, llama, lambda name: name.replace("vision_tower.", "vision_tower.vision_model.")
    )


def with_model_before_all(work: Path, llama: Path) -> Saved:
    def rename(name: str) -> str:
        name = name.removeprefix("language_model.") if "lm_head" in name else name
        name = name.replace("language_model.model.", "language_model.")
        return name if "lm_head" in name else f"model.{name}"

    return save_hugging_face(work, llama, rename)


def padded(work: Path, llama: Path) -> Saved:
    saved = of_now(work, llama)
    processor = processor_of(saved.processor.tokenizer, pad=True)
    processor.save_pretrained(work / "llava")
    return Saved(saved.model, processor, saved.folders)


def of_other_sizes(work: Path, llama: Path) -> Saved:
    """Half precision in several shards; tied, no biases in the projector, the last layer."""
    tokenizer = tokenizer_of(llama)
    tower = CLIPVisionConfig(
        hidden_size=36, intermediate_size=50, num_hidden_layers=2, num_attention_heads=3,
        image_size=43, patch_size=8, hidden_act="gelu", layer_norm_eps=1e-6,
    )  # fmt: skip
    text = LlamaConfig(
        hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
        head_dim=8, rope_theta=50000.0, vocab_size=32010, tie_word_embeddings=True,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=tower, text_config=text, image_token_index=IMAGE_TOKEN, image_seq_length=25,
        vision_feature_layer=-1, multimodal_projector_bias=False, tie_word_embeddings=True,
    )  # fmt: skip
    model = restless(LlavaForConditionalGeneration(config), 4).half()
    model.tie_weights()
    model.save_pretrained(work / "llava", max_shard_size="500KB")
    processor = processor_of(tokenizer, 43)
    processor.patch_size = 8
    processor.save_pretrained(work / "llava")
    kind = LlavaForConditionalGeneration  # read again: `half()` rounded what no file holds, too
    read = kind.from_pretrained(work / "llava", dtype=torch.float32).eval()
    return Saved(read, processor, ("--model", str(work / "llava")))


def save_original(work: Path, llama: Path, **changes: Any) -> tuple[Any, Path]:
    """A folder with `config.json` and tokenizer, and the model whose weights shall go there."""
    model = build_model(vocabulary=32000)
    folder = work / "llava"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(original_config(model, **changes)))
    return model, folder


def whole_and_original(work: Path, llama: Path) -> Saved:
    model, folder = save_original(work, llama)
    torch.save(original_names(model), folder / "pytorch_model.bin")
    torch.save({"model.mm_projector.0.weight": torch.ones(1)}, folder / "mm_projector.bin")
    (folder / "tokenizer.model").write_bytes((llama / "tokenizer.model").read_bytes())
    tower = save_tower(model, work / "clip")
    processor = processor_of(tokenizer_of(llama), pad=True)
    return Saved(model, processor, ("--model", str(folder), "--vision", str(tower)))


def projector_alone(work: Path, llama: Path) -> Saved:
    model, folder = save_original(work, llama)
    parts = {name: v for name, v in original_names(model).items() if "mm_projector" in name}
    torch.save(parts, folder / "mm_projector.bin")
    base, tower = save_llama(model, llama, work / "base"), save_tower(model, work / "clip")
    processor = processor_of(tokenizer_of(llama), pad=True)
    options = ("--model", str(folder), "--base", str(base), "--vision", str(tower))
    return Saved(model, processor, options)


def adapted(model: Any, folder: Path) -> None:
    """Write adapters as LLaVA's code does, and merge them into the model in memory."""
    chance = torch.Generator().manual_seed(8)
    adapters: dict[str, torch.Tensor] = {}
    state = model.state_dict()
    for name in [name for name in state if name.endswith(("q_proj.weight", "down_proj.weight"))]:
        if "language_model" not in name:
            continue
        rows, columns = state[name].shape
        up = 0.1 * torch.randn(rows, RANK, generator=chance)
        down = torch.randn(RANK, columns, generator=chance)
        state[name].add_(ALPHA / RANK * up @ down)
        plain = name.replace("language_model.", "").removesuffix(".weight")
        adapters |= {f"base_model.model.{plain}.lora_A.weight": down}
        adapters |= {f"base_model.model.{plain}.lora_B.weight": up}
    torch.save(adapters, folder / "adapter_model.bin")
    values = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(values))


def save_adapters(work: Path, llama: Path, side: int, **changes: Any) -> Saved:
    model, folder = save_original(work, llama, **changes)
    base, tower = save_llama(model, llama, work / "base"), save_tower(model, work / "clip")
    adapted(model, folder)
    trained = {
        f"base_model.model.{name}": value
        for name, value in original_names(model).items()
        if "mm_projector" in name
    }
    torch.save(trained, folder / "non_lora_trainables.bin")
    processor = processor_of(tokenizer_of(llama), side, pad=True)
    options = ("--model", str(folder), "--base", str(base), "--vision", str(tower))
    return Saved(resized(model, side), processor, options)


def resized(model: Any, side: int) -> Any:
    """The model for pictures of another size, its places resampled as GeoChat does."""
    table = model.model.vision_tower.embeddings.position_embedding.weight.data
    old, new = math.isqrt(len(table) - 1), side // 14
    square = table[1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    square = torch.nn.functional.interpolate(square, new, mode="bicubic", align_corners=True)
    places = torch.cat([table[:1], square.permute(0, 2, 3, 1).reshape(new * new, -1)])
    other = build_model(side, vocabulary=32000)
    state = dict(model.state_dict())
    state["model.vision_tower.embeddings.position_embedding.weight"] = places
    other.load_state_dict(state)
    return other


def adapters_over_vicuna(work: Path, llama: Path) -> Saved:
    return save_adapters(work, llama, SIDE)


def geochat(work: Path, llama: Path) -> Saved:
    return save_adapters(work, llama, 504, model_type="geochat")


def adapters_over_hugging_face(work: Path, llama: Path) -> Saved:
    saved = of_now(work, llama)
    recipe = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", use_rslora=True)
    model = get_peft_model(saved.model, recipe)
    restless_adapters = [v for name, v in model.named_parameters() if "lora_B" in name]
    for value in restless_adapters:
        value.data = 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3))
    model.save_pretrained(work / "adapters")
    merged = model.merge_and_unload().eval()
    options = ("--model", str(work / "adapters"), "--base", str(work / "llava"))
    return Saved(merged, saved.processor, options)


WHOLE = (
    of_now,
    of_other_sizes,
    of_version_4,
    with_model_before_all,
    padded,
    adapters_over_hugging_face,
)
ORIGINAL = (whole_and_original, projector_alone, adapters_over_vicuna, geochat)


@pytest.fixture(scope="module")
def llama(shared: Path) -> Path:
    """LLaMA's own tokenizer."""
    return shared / "reference" / "llama_tiny"


@pytest.fixture(scope="module", params=[*WHOLE, *ORIGINAL], ids=lambda save: save.__name__)
def imported(
    request: pytest.FixtureRequest, llama: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Saved, SkyEyeModel]:
    """A model as it was, and what the command line makes of it."""
    work = tmp_path_factory.mktemp("llava")
    saved = request.param(work, llama)
    target = str(work / "checkpoint")
    spaces = () if request.param in WHOLE else ("--spaces", "first")  # as transformers' processor
    assert main(["import", "llava", *saved.folders, *spaces, "-o", target, "--quiet"]) == 0
    return saved, SkyEyeModel.from_checkpoint(target)


def ids_of(model: SkyEyeModel, task: Any, size: tuple[int, int]) -> list[int]:
    predictor = CheckpointPredictor(model)
    return predictor._prompt_ids(build_prompt([(task, None)], [size], model.spec))


@torch.inference_mode()
def test_pixels_and_visual_tokens_are_those_of_transformers(
    imported: tuple[Saved, SkyEyeModel],
) -> None:
    saved, model = imported
    image = picture()

    pixels = torch.from_numpy(preprocess(np.asarray(image), model.spec.vision))
    visual_tokens = model.encode_image(pixels)

    theirs = saved.processor.image_processor(images=[image], return_tensors="pt")["pixel_values"]
    expected = saved.model.get_image_features(theirs).pooler_output[0]
    torch.testing.assert_close(pixels, theirs, atol=1e-5, rtol=0)
    size = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(visual_tokens[0], expected, atol=1e-5 * size, rtol=0)


def test_a_prompt_has_the_ids_of_transformers_processor(
    imported: tuple[Saved, SkyEyeModel],
) -> None:
    saved, model = imported
    image = picture()

    ids = ids_of(model, Ask(QUESTION), image.size)

    theirs = saved.processor(images=[image], text=PROMPT, return_tensors="pt")["input_ids"][0]
    assert ids == [IMAGE if token == IMAGE_TOKEN else token for token in theirs.tolist()]


@torch.inference_mode()
def test_logits_and_greedy_answers_are_those_of_transformers(
    imported: tuple[Saved, SkyEyeModel],
) -> None:
    saved, model = imported
    image = picture()
    asked = saved.processor(images=[image], text=PROMPT, return_tensors="pt")

    ids = ids_of(model, Ask(QUESTION), image.size)
    pixels = torch.from_numpy(preprocess(np.asarray(image), model.spec.vision))
    embedded = model.embed(torch.tensor([ids]), model.encode_image(pixels))
    logits = model.language_model(inputs_embeds=embedded).logits[0, -1]
    reply = CheckpointPredictor(model).replies(image, [Ask(QUESTION)], max_tokens=12)[0]

    theirs = _embedded(saved, asked)
    expected = saved.model.lm_head(
        saved.model.model.language_model(inputs_embeds=theirs).last_hidden_state
    )[0, -1]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert list(reply.ids) == _greedy(saved, theirs, len(reply.ids))


def _embedded(saved: Saved, asked: Any) -> torch.Tensor:
    """As transformers does it; but its table may have no row for the image's token."""
    ids = asked["input_ids"]
    places = ids == IMAGE_TOKEN
    table = saved.model.get_input_embeddings()
    seen = saved.model.get_image_features(asked["pixel_values"]).pooler_output[0]
    embedded: torch.Tensor = table(ids.masked_fill(places, 0))
    return embedded.masked_scatter(places[..., None], seen)


def _greedy(saved: Saved, embedded: torch.Tensor, number: int) -> list[int]:
    ids: list[int] = []
    for _ in range(number):
        hidden = saved.model.model.language_model(inputs_embeds=embedded).last_hidden_state
        ids.append(int(saved.model.lm_head(hidden)[0, -1].argmax()))
        following = saved.model.get_input_embeddings()(torch.tensor([[ids[-1]]]))
        embedded = torch.cat([embedded, following], dim=1)
    return ids


def import_of(*options: object) -> int:
    return main(["import", "llava", *map(str, options), "--quiet"])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.replace("\n", " ")


@pytest.fixture(scope="module")
def whole(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face's layout, with weights in half precision."""
    work = tmp_path_factory.mktemp("whole")
    of_now(work, llama)
    return work / "llava"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """One to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "llava"))


def configured(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    for key, value in changes.items():
        part, _, name = key.rpartition("__")
        (values[part] if part else values)[name] = value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"model_type": "qwen2_vl"}, "Qwen2-VL", id="Qwen"),
        pytest.param({"model_type": "blip-2"}, "Q-Former", id="BLIP-2"),
        pytest.param({"model_type": "llava_next"}, "several crops", id="LLaVA-NeXT"),
        pytest.param({"text_config__model_type": "mistral"}, "'mistral'", id="Mistral"),
        pytest.param({"vision_config__model_type": "siglip_vision_model"}, "siglip", id="SigLIP"),
        pytest.param({"vision_feature_select_strategy": "full"}, "'full'", id="class token"),
        pytest.param({"vision_feature_layer": [-2, -5]}, "only one layer", id="two layers"),
        pytest.param({"vision_feature_layer": -9}, "has 3 blocks", id="a layer that is not there"),
        pytest.param({"projector_hidden_act": "silu"}, "'silu'", id="another activation"),
        pytest.param({"text_config__hidden_act": "gelu"}, "SiLU", id="another decoder"),
        pytest.param({"quantization_config": {"bits": 4}}, "quantised", id="quantised"),
        pytest.param({"vision_config__hidden_act": "relu"}, "'relu'", id="another tower"),
    ],
)
def test_what_is_not_of_the_family_is_refused(
    copy: Path, tmp_path: Path, changes: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(copy, **changes)

    code = import_of("--model", copy, "-o", tmp_path / "checkpoint")

    assert code != 0
    assert words in said(capsys)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        pytest.param("multi_modal_projector", "mm_projector.0.weight", id="no projector"),
        pytest.param("vision_tower", "give --vision", id="no tower"),
        pytest.param("embed_tokens", "give --base", id="no language model"),
        pytest.param("layers.1.mlp.up_proj", "layers.1.mlp.up_proj.weight", id="a matrix lost"),
        pytest.param("linear_2.weight", "[0]", id="half a projector"),
    ],
)
def test_a_missing_tensor_is_named(
    copy: Path, tmp_path: Path, rename: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed_file(copy, lambda name: None if rename in name else name)

    code = import_of("--model", copy, "-o", tmp_path / "checkpoint")

    assert code != 0
    assert words in said(capsys)


def test_a_tensor_of_another_size_is_named(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(copy, text_config__intermediate_size=96)

    assert import_of("--model", copy, "-o", tmp_path / "checkpoint") != 0
    assert "layers.0.mlp.gate_proj.weight' is (88, 32), should be (96, 32)" in said(capsys)


def test_a_tensor_that_nobody_knows_is_named(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = load_file(copy / "model.safetensors")
    save_file({**tensors, "model.image_newline": torch.ones(4)}, copy / "model.safetensors")

    assert import_of("--model", copy, "-o", tmp_path / "checkpoint") != 0
    assert "not known: model.image_newline" in said(capsys)


def test_adapters_without_their_base_say_what_to_give(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = adapters_over_vicuna(tmp_path, llama)
    model, tower = saved.folders[1], saved.folders[5]

    assert import_of("--model", model, "--vision", tower, "-o", tmp_path / "checkpoint") != 0
    assert "give --base" in said(capsys)


def test_an_adapter_of_a_layer_that_is_not_there_is_named(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = adapters_over_vicuna(tmp_path, llama)
    path = Path(saved.folders[1]) / "adapter_model.bin"
    adapters = torch.load(path, weights_only=True)
    odd = {name.replace("layers.1.", "layers.7."): value for name, value in adapters.items()}
    torch.save(odd, path)

    assert import_of(*saved.folders, "-o", tmp_path / "checkpoint") != 0
    assert "layers.7.self_attn.q_proj.lora_A.weight" in said(capsys)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"image_aspect_ratio": "anyres"}, "several crops", id="anyres"),
        pytest.param({"mm_projector_type": "resampler"}, "'resampler'", id="another projector"),
        pytest.param({"mm_use_im_start_end": True}, "mm_use_im_start_end", id="marks of images"),
        pytest.param(
            {"architectures": ["LlavaMistralForCausalLM"]}, "mistral", id="LLaVA on a Mistral"
        ),
    ],
)
def test_relatives_in_the_original_layout_are_refused(
    llama: Path, tmp_path: Path, changes: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = projector_alone(tmp_path, llama)
    configured(Path(saved.folders[1]), **changes)

    assert import_of(*saved.folders, "-o", tmp_path / "checkpoint") != 0
    assert words in said(capsys)


def test_a_tokenizer_that_is_no_llamas_is_refused(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "tokenizer.json"
    values = json.loads(path.read_text())
    values["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                               "use_regex": True}  # fmt: skip
    path.write_text(json.dumps(values))

    assert import_of("--model", copy, "-o", tmp_path / "checkpoint") != 0
    assert "no plain LLaMA tokenizer" in said(capsys)


def test_geochat_is_asked_in_its_own_words_and_boxes(llama: Path, tmp_path: Path) -> None:
    saved = geochat(tmp_path, llama)

    assert import_of(*saved.folders, "-o", tmp_path / "checkpoint") == 0

    spec = json.loads((tmp_path / "checkpoint" / "skyeye.json").read_text())["spec"]
    assert spec["vision"]["image_size"] == 504
    assert spec["prompt"]["instructions"] == spec["boxes"]["format"] == "geochat"
    assert "spaces" not in spec["prompt"]  # each text has one, as LLaVA's code encodes it
    assert (spec["vision"]["preprocess"]["fit"], spec["boxes"]["within"]) == ("pad", "padded")


def test_weights_keep_their_type_and_merged_ones_are_full(llama: Path, tmp_path: Path) -> None:
    saved = adapters_over_vicuna(tmp_path, llama)
    base = Path(saved.folders[3]) / "model.safetensors"
    halves = {name: value.half() for name, value in load_file(base).items()}
    save_file(halves, base, {"format": "pt"})

    assert import_of(*saved.folders, "-o", tmp_path / "checkpoint") == 0

    written = load_file(tmp_path / "checkpoint" / "llm" / "model.safetensors")
    assert written["model.layers.0.self_attn.q_proj.weight"].dtype == torch.float32
    assert written["model.layers.0.self_attn.k_proj.weight"].dtype == torch.float16


RECIPE = """\
name: mine
version: 0.1.0
base: {base}
run: run
threads: 1
scored: 0
length: 400
data:
  - {{name: own, format: lines, path: {data}, licence: all mine}}
lora: {{rank: 2, alpha: 4, targets: [all-linear]}}
stages:
  - {{name: only, steps: 2, batch: 2, learning_rate: 1e-4}}
"""


def test_an_imported_model_is_trained_merged_exported_and_answers_alike(
    whole: Path, ten_images: Path, tmp_path: Path
) -> None:
    assert import_of("--model", whole, "-o", tmp_path / "base") == 0
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(base=tmp_path / "base", data=ten_images))
    frames = [Frame(np.asarray(picture(seed=seed))) for seed in (1, 2)]

    run = train(tmp_path / "recipe.yaml")
    merged = merge(run, tmp_path / "merged").target
    report = export_bundle(
        merged, tmp_path / "bundle", vision=["fp32"], language=["F32"], frames=frames
    )

    (row,) = report.parity
    assert row.strict
    assert row.different == 0
    assert row.visual_tokens < 1e-3
    predictor = CheckpointPredictor(merged)
    with sky.load(tmp_path / "bundle", vision="fp32", language="F32", strict=True) as model:
        (alone,) = model.replies(frames[0], [Caption()])
        chat = model.chat(frames[0])
        first, second = chat.ask(QUESTION), chat.ask("And planes?")
    expected = predictor.replies(frames[0], [Caption(), Ask(QUESTION)])
    assert [alone.ids, first.tokens] == [reply.ids for reply in expected]
    history = [(Ask(QUESTION), expected[1].text.strip())]
    (again,) = predictor.replies(frames[0], [Ask("And planes?")], history=history)
    assert second.tokens == again.ids
