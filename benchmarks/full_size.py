"""Models of the real sizes, from weights of others to an answer: peak memory and time of each step.

    python benchmarks/full_size.py SCRATCH [--family minigptv2] [--keep] [--small]

Random half-precision weights of EVA ViT-g and LLaMA-2-7B (LLaVA: CLIP ViT-L/14 at 336 px and the
same 7B) are written, imported, merged with a run's adapters, exported (ONNX with weights beside the
graph, Q4_K_M), opened and asked once. Every step is a process of its own; its memory is the largest
resident set that the system saw, mapped files included. SCRATCH needs about 45 GB, and big files
are deleted as soon as no later step reads them.

What limits the figures: import and merge copy, so the disk does; Q4_K_M is arithmetic, a thread per
core; an answer reads all weights once per token. Answers are nonsense, their cost is not.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

import skyeye_edge as sky
from skyeye_edge.core.bundle import open_bundle
from skyeye_edge.core.memory import memory_need
from skyeye_edge.training.model.llama import read_sizes, tensor_shapes
from skyeye_edge.training.model.tensors import LazyTensor, open_weights, write_shards

HERE = Path(__file__).resolve()
TOKENIZER = HERE.parents[1] / "checkpoints" / "skyeye-tiny" / "llm" / "tokenizer.model"
HALF = torch.float16
RANK = 64
SAMPLE = torch.randn(2**20, generator=torch.Generator().manual_seed(0)) * 0.02
SAMPLES = {dtype: SAMPLE.to(dtype) for dtype in (HALF, torch.float32)}
ASK = """
import json, sys
import numpy as np
import skyeye_edge as sky
with sky.load(sys.argv[1]) as model:
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    answer = model.ask(picture, "what is this?", max_tokens=8)
kept = [line for line in open("/proc/self/status") if line.startswith(("VmHWM", "Rss"))]
print(json.dumps({"tokens": len(answer.tokens)}), *(" ".join(line.split()) for line in kept))
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a language model and a tower."""

    width: int = 4096
    mlp: int = 11008
    layers: int = 32
    heads: int = 32
    tower: int = 1408
    tower_mlp: int = 6144
    tower_blocks: int = 40  # in the file; the last is not used
    image: int = 448


CLIP = Sizes(tower=1024, tower_mlp=4096, tower_blocks=24, image=336)
SMALL = Sizes(256, 512, 2, 4, 64, 128, 3, 112)


@dataclass(frozen=True, slots=True)
class Step:
    """One process, as the system saw it."""

    name: str
    seconds: float
    peak_gib: float
    written_gib: float


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(description="peak memory and time at full size")
    parser.add_argument("scratch", type=Path, help="an empty or new folder with room")
    parser.add_argument("--family", choices=FAMILIES, default="minigptv2")
    parser.add_argument("--vision", default="int8", help="variants; default: int8")
    parser.add_argument("--language", default="Q4_K_M", help="types; default: Q4_K_M")
    parser.add_argument(
        "--layers",
        type=int,
        help="of the language model; default: 32. Fewer need the same memory for import, merge and "
        "export, where one matrix is in it at a time, and less time",
    )
    parser.add_argument("--small", action="store_true", help="a few thousand weights, to try it")
    parser.add_argument("--keep", action="store_true", help="leave all files there")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    sizes = SMALL if args.small else CLIP if args.family == "llava" else Sizes()
    sizes = replace(sizes, layers=args.layers or sizes.layers)
    if args.make:
        FAMILIES[args.family][0](args.scratch, sizes)
        return 0
    args.scratch.mkdir(parents=True, exist_ok=True)
    steps: list[Step] = []
    for step in measured_steps(args, sizes):
        print(
            f"{step.name:<10}{step.seconds:>9.1f} s{step.peak_gib:>9.2f} GiB at most"
            f"{step.written_gib:>9.2f} GiB written",
            flush=True,
        )
        steps.append(step)
    bundle = open_bundle(args.scratch / "bundle")
    manifest = bundle.manifest
    need = memory_need(bundle, manifest.vision_variant(), manifest.language_variant())
    said = need.total / 2**30
    print(f"bundle show said {said:.2f} GiB, answering took {steps[-1].peak_gib:.2f}")
    if not args.keep:
        shutil.rmtree(args.scratch)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "load": os.getloadavg()}
    versions = {"skyeye-edge": sky.__version__, "python": platform.python_version()}
    figures = {
        "family": args.family,
        "layers": sizes.layers,
        "steps": [asdict(step) for step in steps],
        "said_gib": said,
    }
    print(json.dumps({"benchmark": "full_size", **figures, "machine": machine, **versions}))
    return 0


def measured_steps(args: argparse.Namespace, sizes: Sizes) -> Iterator[Step]:
    """Every step in order; what no later one reads is deleted between them."""
    scratch, cli = args.scratch, [sys.executable, "-m", "skyeye_edge"]
    source, imported, merged = (scratch / name for name in ("source", "imported", "merged"))
    make = [sys.executable, str(HERE), str(source), "--make", "--family", args.family]
    make += ["--small"] if args.small else []
    make += ["--layers", str(sizes.layers)]
    yield run("make", make, source)
    yield run("import", [*cli, *FAMILIES[args.family][1](source), "-o", str(imported)], imported)
    if not args.keep:
        shutil.rmtree(source)
    write_run(scratch / "run", imported)
    yield run("merge", [*cli, "merge", str(scratch / "run"), "-o", str(merged)], merged)
    if not args.keep:
        shutil.rmtree(imported)
    bundle = scratch / "bundle"
    asked = ["--vision", args.vision, "--language", args.language, "--parity", "never"]
    yield run("export", [*cli, "export", str(merged), "-o", str(bundle), *asked], bundle)
    if not args.keep:
        shutil.rmtree(merged)
    yield run("answer", [sys.executable, "-c", ASK, str(bundle)], None)


def run(name: str, command: list[str], made: Path | None) -> Step:
    """One command, its time, and the peak of its memory."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"{name}: exit {code}: {' '.join(command)}")
    written = sum(f.stat().st_size for f in made.rglob("*") if f.is_file()) if made else 0
    return Step(name, time.monotonic() - begun, usage.ru_maxrss / 2**20, written / 2**30)


def random_tensor(*shape: int, dtype: torch.dtype = HALF) -> LazyTensor:
    """Values of no meaning, made when they are asked for."""

    def read() -> torch.Tensor:
        size = math.prod(shape)
        sample = SAMPLES[dtype]
        values = sample.repeat(size // sample.numel() + 1)[:size].reshape(shape)
        return values if len(shape) > 1 else values + 1

    return LazyTensor(shape, dtype, read)


def make_minigptv2(folder: Path, sizes: Sizes) -> None:
    """EVA tower, LLaMA folder and adapters, as they are published."""
    make_llama(folder / "llm", sizes)
    width, mlp = sizes.tower, sizes.tower_mlp
    block = {
        "norm1.weight": (width,), "norm1.bias": (width,), "norm2.weight": (width,),
        "norm2.bias": (width,), "attn.q_bias": (width,), "attn.v_bias": (width,),
        "attn.qkv.weight": (3 * width, width), "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,), "mlp.fc1.weight": (mlp, width), "mlp.fc1.bias": (mlp,),
        "mlp.fc2.weight": (width, mlp), "mlp.fc2.bias": (width,),
    }  # fmt: skip
    tower: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, width), "pos_embed": (1, 257, width)}
    tower |= {"patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,)}
    for number in range(sizes.tower_blocks):
        tower |= {f"blocks.{number}.{name}": shape for name, shape in block.items()}
    torch.save({n: random_tensor(*s).read() for n, s in tower.items()}, folder / "eva.pth")
    model = {
        f"llama_model.base_model.model.model.layers.{layer}.self_attn.{part}_proj.lora_{side}.weight":
        random_tensor(*shape, dtype=torch.float32).read()
        for layer in range(sizes.layers)
        for part in "qv"
        for side, shape in (("A", (RANK, sizes.width)), ("B", (sizes.width, RANK)))
    }  # fmt: skip
    model["llama_proj.weight"] = random_tensor(sizes.width, 4 * width, dtype=torch.float32).read()
    model["llama_proj.bias"] = random_tensor(sizes.width, dtype=torch.float32).read()
    config = {"model": {"image_size": sizes.image, "arch": "minigpt_v2"}}
    torch.save({"model": model, "config": config, "epoch": 0}, folder / "trained.pth")


def make_llama(folder: Path, sizes: Sizes) -> None:
    """A LLaMA of these sizes in the Hugging Face format, shard by shard."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(llama_config(sizes)))
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    write_shards(folder, llama_tensors(folder), lambda done: None)


def llama_tensors(folder: Path, prefix: str = "") -> dict[str, LazyTensor]:
    """Of the LLaMA that a folder's configuration describes."""
    shapes = tensor_shapes(read_sizes(folder))
    return {prefix + name: random_tensor(*shape) for name, shape in shapes.items()}


def llama_config(sizes: Sizes) -> dict[str, object]:
    """As Hugging Face has it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.mlp,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float16",
    }


def make_llava(folder: Path, sizes: Sizes) -> None:
    """A whole LLaVA-1.5 folder in the Hugging Face layout."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(llama_config(sizes)))
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    tensors = llama_tensors(folder, "language_model.")
    tower = {
        "hidden_size": sizes.tower,
        "intermediate_size": sizes.tower_mlp,
        "num_hidden_layers": sizes.tower_blocks,
        "num_attention_heads": sizes.tower // 64,
        "image_size": sizes.image,
        "patch_size": 14,
        "model_type": "clip_vision_model",
    }
    config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "text_config": llama_config(sizes),
        "vision_config": tower,
        "vision_feature_layer": -2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    size = {"height": sizes.image, "width": sizes.image}
    processor = {"size": {"shortest_edge": sizes.image}, "crop_size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    width = sizes.tower
    layer = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
    layer |= {"mlp.fc1": (sizes.tower_mlp, width), "mlp.fc2": (width, sizes.tower_mlp)}
    norms = ["pre_layrnorm", "post_layernorm"]
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(sizes.tower_blocks):
        norms += [f"encoder.layers.{number}.layer_norm{each}" for each in (1, 2)]
        for name, shape in layer.items():
            shapes[f"encoder.layers.{number}.{name}.weight"] = shape
            shapes[f"encoder.layers.{number}.{name}.bias"] = shape[:1]
    shapes |= {f"{name}.{kind}": (width,) for name in norms for kind in ("weight", "bias")}
    shapes["embeddings.class_embedding"] = (width,)
    shapes["embeddings.patch_embedding.weight"] = (width, 3, 14, 14)
    shapes["embeddings.position_embedding.weight"] = (1 + (sizes.image // 14) ** 2, width)
    prefix = "vision_tower.vision_model."
    tensors |= {prefix + name: random_tensor(*shape) for name, shape in shapes.items()}
    for number, columns in ((1, width), (2, sizes.width)):
        name = f"multi_modal_projector.linear_{number}"
        tensors[f"{name}.weight"] = random_tensor(sizes.width, columns)
        tensors[f"{name}.bias"] = random_tensor(sizes.width)
    write_shards(folder, tensors, lambda done: None)


def import_llava(source: Path) -> list[str]:
    """The command's words."""
    return ["import", "llava", "--model", str(source), "--quiet"]


def import_minigptv2(source: Path) -> list[str]:
    """The command's words."""
    words = ["import", "minigptv2", "--checkpoint", str(source / "trained.pth"), "--llm"]
    return [*words, str(source / "llm"), "--vision", str(source / "eva.pth"), "--quiet"]


def write_run(folder: Path, base: Path) -> None:
    """A finished run over an imported checkpoint: adapters on queries and values, the aligner."""
    stage = folder / "only"
    stage.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(
        f"name: full-size\nbase: {base.absolute()}\nrun: {folder.absolute()}\n"
        "data: [{name: drawn, format: synthetic, scenes: 1}]\n"
        f"stages: [{{name: only, steps: 1}}]\nlora: {{rank: {RANK}, alpha: 16}}\n"
    )
    (folder / "run.json").write_text('{"paths_start": "."}')
    trained = dict(open_weights(base / "aligner.safetensors").tensors)
    for name, tensor in open_weights(base / "llm").tensors.items():
        if name.endswith(("q_proj.weight", "v_proj.weight")):
            rows, columns = tensor.shape
            layer = f"language_model.base_model.model.{name.removesuffix('.weight')}"
            sides = {"A": (RANK, columns), "B": (rows, RANK)}
            for side, shape in sides.items():
                values = random_tensor(*shape, dtype=torch.float32)
                trained[f"{layer}.lora_{side}.default.weight"] = values
    write_shards(stage, trained, lambda done: None, limit=2**40)
    (stage / "model.safetensors").rename(stage / "trained.safetensors")


FAMILIES: dict[str, tuple[Callable[[Path, Sizes], None], Callable[[Path], list[str]]]] = {
    "minigptv2": (make_minigptv2, import_minigptv2),
    "llava": (make_llava, import_llava),
}


if __name__ == "__main__":
    sys.exit(main())
