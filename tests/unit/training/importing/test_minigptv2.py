"""Weights in many published shapes become a checkpoint, or are refused by the name of a tensor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from skyeye_edge.cli.main import main
from skyeye_edge.core.errors import CheckpointError, InputError, SkyEyeError
from skyeye_edge.training import MiniGptV2, SkyEyeModel, import_minigptv2
from skyeye_edge.training.importing.eva import resample_positions
from skyeye_edge.training.model.llama import read_sizes, tensor_shapes
from skyeye_edge.training.model.tensors import open_weights

WIDTH, TOWER, MLP, BLOCKS, RANK = 32, 48, 80, 3, 4
FIRST = "llama_model.base_model.model.model.layers.0"
Spoil = Callable[["Files"], object]


@dataclass(frozen=True, slots=True)
class Files:
    """Published files before they are written, to be changed by a test."""

    folder: Path
    trained: dict[str, Tensor]
    tower: dict[str, Tensor]
    llama: dict[str, Tensor]
    config: dict[str, Any]
    beside: dict[str, Any] = field(default_factory=dict)

    def write(self) -> MiniGptV2:
        """Write all of them."""
        checkpoint, vision = self.folder / "trained.pth", self.folder / "eva.pth"
        torch.save({"model": self.trained, **self.beside}, checkpoint)
        torch.save(self.tower, vision)
        (self.folder / "llm" / "config.json").write_text(json.dumps(self.config))
        save_file(self.llama, self.folder / "llm" / "model.safetensors")
        return MiniGptV2(checkpoint, vision, self.folder / "llm", vision_heads=4, image_size=112)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.1


def tower() -> dict[str, Tensor]:
    norms = {f"norm{i}.{kind}": (TOWER,) for i in (1, 2) for kind in ("weight", "bias")}
    block: dict[str, tuple[int, ...]] = {
        **norms,
        "attn.q_bias": (TOWER,),
        "attn.v_bias": (TOWER,),
        "attn.qkv.weight": (3 * TOWER, TOWER),
        "attn.proj.weight": (TOWER, TOWER),
        "attn.proj.bias": (TOWER,),
        "mlp.fc1.weight": (MLP, TOWER),
        "mlp.fc1.bias": (MLP,),
        "mlp.fc2.weight": (TOWER, MLP),
        "mlp.fc2.bias": (TOWER,),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, TOWER),
        "pos_embed": (1, 1 + 4 * 4, TOWER),
        "patch_embed.proj.weight": (TOWER, 3, 14, 14),
        "patch_embed.proj.bias": (TOWER,),
        **{f"blocks.{i}.{name}": shape for i in range(BLOCKS) for name, shape in block.items()},
        "norm.weight": (TOWER,),
        "norm.bias": (TOWER,),
    }
    return {name: noise(*shape).half() for name, shape in shapes.items()}


def trained() -> dict[str, Tensor]:
    prefix = "llama_model.base_model.model.model.layers"
    found = {"llama_proj.weight": noise(WIDTH, 4 * TOWER), "llama_proj.bias": noise(WIDTH)}
    for layer in range(2):
        found[f"{prefix}.{layer}.self_attn.rotary_emb.inv_freq"] = noise(4)
        for part in "qv":
            name = f"{prefix}.{layer}.self_attn.{part}_proj"
            found[f"{name}.lora_A.weight"] = noise(RANK, WIDTH)
            found[f"{name}.lora_B.weight"] = noise(WIDTH, RANK)
    return found


@pytest.fixture
def files(tmp_path: Path, repo: Path) -> Files:
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 4096,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
    }
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "config.json").write_text(json.dumps(config))
    tokenizer = repo / "checkpoints" / "skyeye-tiny" / "llm" / "tokenizer.model"
    shutil.copy(tokenizer, tmp_path / "llm")
    shapes = tensor_shapes(read_sizes(tmp_path / "llm"))
    llama = {name: noise(*shape).half() for name, shape in shapes.items()}
    return Files(tmp_path, trained(), tower(), llama, config)


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    found = open_weights(checkpoint / "llm").tensors
    parts = [load_file(checkpoint / f"{part}.safetensors") for part in ("vision", "aligner")]
    return {**parts[0], **parts[1], **{name: tensor.read() for name, tensor in found.items()}}


def is_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def rename(values: dict[str, Tensor], change: Callable[[str], str]) -> None:
    renamed = {change(name): value for name, value in values.items()}
    values.clear()
    values.update(renamed)


def shard(files: Files) -> None:
    """LLaMA in two PyTorch files with an index, as older folders have it."""
    names = list(files.llama)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
    for file, own in parts.items():
        torch.save({name: files.llama[name] for name in own}, files.folder / "llm" / file)
    places = {name: file for file, own in parts.items() for name in own}
    index = files.folder / "llm" / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))


FORMS: dict[str, Spoil] = {
    "adapters with a name": lambda f: rename(f.trained, lambda n: n.replace("_A.", "_A.default.")),
    "prefixed tower": lambda f: rename(f.tower, lambda n: f"visual_encoder.{n}"),
    "optimizer state": lambda f: f.beside.update(optimizer={"state": {0: {"step": noise(1)}}}),
    "buffers in the LLaMA": lambda f: f.llama.update({
        "model.layers.0.self_attn.rotary_emb.inv_freq": noise(4)
    }),
    "no final norm": lambda f: [f.tower.pop(f"norm.{kind}") for kind in ("weight", "bias")],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_the_same_weights_give_the_same_checkpoint(
    files: Files, tmp_path: Path, form: str
) -> None:
    plain = import_minigptv2(files.write(), tmp_path / "plain").target

    FORMS[form](files)
    other = import_minigptv2(files.write(), tmp_path / "other").target

    assert is_same(weights_of(plain), weights_of(other))


def test_a_llama_in_shards_gives_the_same_checkpoint(files: Files, tmp_path: Path) -> None:
    plain = import_minigptv2(files.write(), tmp_path / "plain").target

    given = files.write()
    (given.language / "model.safetensors").unlink()
    shard(files)
    other = import_minigptv2(given, tmp_path / "other").target

    assert is_same(weights_of(plain), weights_of(other))


def test_files_of_the_old_pytorch_format_are_read(files: Files, tmp_path: Path) -> None:
    plain = import_minigptv2(files.write(), tmp_path / "plain").target

    given = files.write()
    torch.save(files.tower, given.vision, _use_new_zipfile_serialization=False)
    other = import_minigptv2(given, tmp_path / "other").target

    assert is_same(weights_of(plain), weights_of(other))


def test_sizes_come_from_tensors_and_types_stay_as_they_are(files: Files, tmp_path: Path) -> None:
    report = import_minigptv2(files.write(), tmp_path / "checkpoint")

    weights = weights_of(report.target)
    spec = SkyEyeModel.from_checkpoint(report.target).spec
    vision = report.vision
    assert (vision.width, vision.depth, vision.mlp, vision.patch) == (TOWER, BLOCKS - 1, MLP, 14)
    assert (spec.vision.tokens, spec.vision.width, spec.context) == (16, WIDTH, 512)
    assert weights["vision.blocks.0.attn.qkv.weight"].dtype == torch.float16
    assert weights["model.layers.0.self_attn.k_proj.weight"].dtype == torch.float16
    assert weights["model.layers.0.self_attn.q_proj.weight"].dtype == torch.float32
    assert weights["vision.pos_embed"].shape == (1, 65, TOWER)


def test_adapters_count_alpha_by_rank(files: Files, tmp_path: Path) -> None:
    name = "model.layers.1.self_attn.v_proj"
    up, down = (files.trained[f"llama_model.base_model.model.{name}.lora_{s}.weight"] for s in "BA")
    before = files.llama[f"{name}.weight"].float()

    given = replace(files.write(), lora_alpha=6.0)
    found = weights_of(import_minigptv2(given, tmp_path / "checkpoint").target)[f"{name}.weight"]

    torch.testing.assert_close(found, before + 6.0 / RANK * (up @ down))


def test_what_the_run_says_about_itself_is_believed(files: Files, tmp_path: Path) -> None:
    files.beside["config"] = {"model": {"image_size": 168, "lora_alpha": 32}}

    report = import_minigptv2(replace(files.write(), image_size=None), tmp_path / "checkpoint")

    assert (report.vision.image_size, report.alpha) == (168, 32.0)


@pytest.mark.parametrize("place", ["trained", "tower"])
def test_a_norm_that_is_there_is_taken(files: Files, tmp_path: Path, place: str) -> None:
    norm = {f"ln_vision.{kind}": noise(TOWER) + 2 for kind in ("weight", "bias")}
    getattr(files, place).update(norm)

    found = weights_of(import_minigptv2(files.write(), tmp_path / "checkpoint").target)

    assert all(torch.equal(found[name], value) for name, value in norm.items())


def test_without_a_norm_it_changes_nothing(files: Files, tmp_path: Path) -> None:
    found = weights_of(import_minigptv2(files.write(), tmp_path / "checkpoint").target)

    assert (set(found["ln_vision.weight"].tolist()), set(found["ln_vision.bias"].tolist())) == (
        {1.0},
        {0.0},
    )


def test_positions_of_the_same_grid_are_not_touched() -> None:
    table = noise(1, 17, 8)

    torch.testing.assert_close(resample_positions(table, 4), table)
    assert torch.equal(resample_positions(table, 8)[:, 0], table[:, 0])


REFUSED: dict[str, tuple[Spoil, str]] = {
    "missing in the tower": (
        lambda f: f.tower.__delitem__("blocks.1.attn.q_bias"),
        r"eva.pth: tensor 'blocks.1.attn.q_bias' is missing",
    ),
    "odd in the tower": (
        lambda f: f.tower.update({"blocks.0.mlp.fc2.bias": noise(5)}),
        r"tensor 'blocks.0.mlp.fc2.bias' is \(5,\), should be \(48,\)",
    ),
    "layer scale": (
        lambda f: f.tower.update({"blocks.0.gamma_1": noise(TOWER)}),
        r"eva.pth: not known: blocks.0.gamma_1",
    ),
    "missing in the LLaMA": (
        lambda f: f.llama.__delitem__("model.layers.1.mlp.up_proj.weight"),
        r"tensor 'model.layers.1.mlp.up_proj.weight' is missing",
    ),
    "unexpected in the LLaMA": (
        lambda f: f.llama.update({"model.layers.2.mlp.up_proj.weight": noise(64, WIDTH)}),
        r"not known: model.layers.2.mlp.up_proj.weight",
    ),
    "not finite": (
        lambda f: f.llama["model.norm.weight"].fill_(float("nan")),
        r"tensor 'model.norm.weight' has values that are no finite numbers",
    ),
    "not finite, in one place": (
        lambda f: f.llama["lm_head.weight"][7, 3:4].fill_(float("inf")),
        r"tensor 'lm_head.weight' has values that are no finite numbers",
    ),
    "half an adapter": (
        lambda f: f.trained.__delitem__(f"{FIRST}.self_attn.q_proj.lora_B.weight"),
        r"layers.0.self_attn.q_proj.lora_B.weight' is missing",
    ),
    "adapter of no layer": (
        lambda f: f.trained.update({"llama_model.base_model.model.x.lora_A.weight": noise(4, 4)}),
        r"trained.pth: not known: llama_model.base_model.model.x.lora_A.weight",
    ),
    "another projection": (
        lambda f: f.trained.update({"llama_proj.weight": noise(WIDTH, 768)}),
        r"tensor 'llama_proj.weight' is \(32, 768\), should be \(32, 192\)",
    ),
    "a run that says odd things": (
        lambda f: f.beside.update(config={"model": {"lora_alpha": "much"}}),
        r"trained.pth: its config says something odd: .*give --image-size and --lora-alpha",
    ),
    "another architecture": (
        lambda f: rename(f.trained, lambda n: n.replace("llama_proj", "mm_projector.0")),
        r"no SkyEyeGPT or MiniGPT-v2 checkpoint; it looks like a LLaVA model",
    ),
    "another language model": (
        lambda f: f.config.update(model_type="mistral"),
        r"config.json: model type 'mistral'",
    ),
    "another gate": (
        lambda f: f.config.update(hidden_act="gelu"),
        r"config.json: hidden_act 'gelu'",
    ),
    "quantised": (
        lambda f: f.config.update(quantization_config={"bits": 4}),
        r"its weights are quantised",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_match_is_refused_by_name_and_nothing_is_written(
    files: Files, tmp_path: Path, case: str
) -> None:
    spoil, message = REFUSED[case]
    spoil(files)
    given = files.write()

    with pytest.raises(CheckpointError, match=message):
        import_minigptv2(given, tmp_path / "out" / "checkpoint")

    assert not any((tmp_path / "out").glob("*"))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def test_a_pickle_that_wants_to_run_code_is_not_run(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files.beside["config"] = Evil()
    given = files.write()

    with pytest.raises(CheckpointError, match=r"trained.pth: wants to run .*mkdir"):
        import_minigptv2(given, tmp_path / "checkpoint")

    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["trained.pth", "eva.pth", "llm/model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_said_to_be(
    files: Files, tmp_path: Path, name: str, share: float
) -> None:
    given = files.write()
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])

    with pytest.raises(CheckpointError, match=rf"{name}: .*copy it again"):
        import_minigptv2(given, tmp_path / "checkpoint")


def test_something_that_is_no_file_of_weights_is_said_to_be_none(
    files: Files, tmp_path: Path
) -> None:
    given = files.write()
    given.vision.write_text("version https://git-lfs.github.com/spec/v1\n")

    with pytest.raises(CheckpointError, match=r"eva.pth: not a file of PyTorch weights"):
        import_minigptv2(given, tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_heads": 5}, "--vision-heads 5: the tower's width of 48 does not divide"),
        ({"image_size": 100}, "--image-size 100: give a multiple of 56"),
        ({"vision_blocks": 4}, "--vision-blocks 4: the file has 3"),
        ({"lora_alpha": 0.0}, "--lora-alpha 0"),
        ({"vision": Path("nowhere.pth")}, "nowhere.pth: no such file"),
        ({"language": Path("nowhere")}, "nowhere: no folder"),
    ],
)
def test_a_wrong_request_ends_with_the_option_to_change(
    files: Files, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    given = replace(files.write(), **changes)

    with pytest.raises(InputError, match=message):
        import_minigptv2(given, tmp_path / "checkpoint")


def test_without_its_tokenizer_a_llama_is_refused(files: Files, tmp_path: Path) -> None:
    given = files.write()
    (given.language / "tokenizer.model").unlink()

    with pytest.raises(CheckpointError, match=r"tokenizer.model is missing"):
        import_minigptv2(given, tmp_path / "checkpoint")


def test_a_disk_without_room_is_said_before_anything_is_written(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = files.write()
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: full)

    with pytest.raises(SkyEyeError, match=r"disk is full; make room, then import again"):
        import_minigptv2(given, tmp_path / "checkpoint")

    assert not (tmp_path / "checkpoint").exists()


def test_progress_ends_at_all_bytes(files: Files, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []

    report = import_minigptv2(
        files.write(), tmp_path / "checkpoint", lambda done, total: heard.append((done, total))
    )

    assert heard == sorted(heard)
    assert heard[-1] == (report.size_bytes, report.size_bytes)


def test_the_command_line_says_what_it_found(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = files.write()
    words = ["--checkpoint", str(given.checkpoint), "--vision", str(given.vision)]
    words += ["--llm", str(given.language), "-o", str(tmp_path / "mine"), "--image-size", "112"]

    code = main(["import", "minigptv2", *words, "--licence", "theirs"])

    said = capsys.readouterr()
    assert (code, said.out) == (0, f"{tmp_path / 'mine'}\n")
    assert "2 blocks of 48, 16 heads" in said.err
    assert "this tower is another: --vision-heads" in said.err
    info = json.loads((tmp_path / "mine" / "skyeye.json").read_text())
    assert (info["name"], info["licences"]) == ("mine", ["theirs"])
    assert str(tmp_path) not in json.dumps(info)
