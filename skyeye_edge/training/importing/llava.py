"""Models of the LLaVA-1.5 family as a checkpoint: LLaVA-1.5 itself, GeoChat, VHM, SkySenseGPT.

Two layouts: Hugging Face's (`LlavaForConditionalGeneration`, names of several versions), and the
original one, whose trained part may be adapters and a projector beside a LLaMA and a CLIP.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from skyeye_edge.core.boxes import BoxSpec, Within
from skyeye_edge.core.errors import CheckpointError, InputError, needs
from skyeye_edge.core.spec import Fit, ModelSpec, PromptSpec, Spaces, VisionSpec
from skyeye_edge.training.importing.clip import stored_image_size, take_clip
from skyeye_edge.training.importing.llava_config import (
    GEOCHAT_SIZE,
    LlavaDescription,
    preprocess_of,
    processor_size,
    read_llava,
    tower_folder,
)
from skyeye_edge.training.importing.parts import Parts, Scaling
from skyeye_edge.training.importing.tokenizer import (
    find_tokenizer,
    knows_images,
    spaces_of,
    write_tokenizer,
)
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import (
    CheckpointContents,
    CheckpointInfo,
    Written,
    new_folder,
    now,
    write_checkpoint,
)
from skyeye_edge.training.model.clip import ClipConfig
from skyeye_edge.training.model.llama import DERIVED, LlamaSizes, sizes_of, tensor_shapes
from skyeye_edge.training.model.tensors import LazyTensor, lazy, open_weights

# LLaVA, conversation.py, `vicuna_v1`: what LLaVA-1.5 and GeoChat were tuned with.
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
CLIP_SIZE = 336  # pixels; of the tower that LLaVA-1.5 takes
CLIP_HEAD = 64  # width of an attention head in all published CLIPs
_WITHIN: Mapping[Fit, Within] = {"stretch": "image", "pad": "padded", "crop": "cropped"}
_TASKS = ("caption", "describe", "classify", "ground", "identify", "ask")
_EXTRA_TASKS = {"geochat": ("describe_boxes", "detect")}
_RENAMES = (
    (r"(?:model\.)?language_model\.(?:model\.)?((?:layers|embed_tokens|norm)\..+)",
     r"language.model.\1"),
    (r"(?:(?:model\.)?language_model\.)?lm_head\.(.+)", r"language.lm_head.\1"),
    (r"(?:model\.)+((?:layers|embed_tokens|norm)\..+)", r"language.model.\1"),
    (r"(?:model\.)*(?:vision_tower\.)+(?:vision_model\.)?(.+)", r"vision.\1"),
    (r"(?:vision_model\.)?((?:embeddings|pre_layrnorm|encoder|post_layernorm)\..+)", r"vision.\1"),
    (r"(?:model\.)*mm_projector\.(\d+)\.(weight|bias)", r"projector.\1.\2"),
    (r"(?:model\.)*mm_projector\.(weight|bias)", r"projector.0.\1"),
    (r"(?:model\.)*multi_modal_projector\.linear_1\.(weight|bias)", r"projector.0.\1"),
    (r"(?:model\.)*multi_modal_projector\.linear_2\.(weight|bias)", r"projector.2.\1"),
)  # fmt: skip
_WHOLE = ("model*.safetensors", "pytorch_model*.bin", "*.index.json")
_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_TRAINED_FILES = tuple(
    f"{stem}{end}"
    for stem in ("mm_projector", "non_lora_trainables")
    for end in (".safetensors", ".bin")
)


@dataclass(frozen=True, slots=True)
class Llava:
    """What there is of a model, and what its files do not say."""

    model: Path  # folder: the whole model, or what was trained
    base: Path | None = None  # folder that adapters or a projector belong to
    vision: Path | None = None  # folder or file of the CLIP, where the model does not hold it
    name: str = "llava"  # what the checkpoint calls itself
    licences: tuple[str, ...] = ()
    image_size: int | None = None  # pixels along a side; None: as the files say, GeoChat's is 504
    vision_heads: int | None = None  # None: as the files say, else width / 64
    system: str = SYSTEM
    boxes: str | None = None  # a key of LANGUAGES; None: GeoChat's own, else normalised lists
    instructions: str | None = None  # a key of INSTRUCTIONS; None: by the family
    spaces: Spaces | None = None  # None: as its tokenizer does


@dataclass(frozen=True, slots=True)
class LlavaReport:
    """What an import made of the files."""

    target: Path
    vision: ClipConfig
    language: LlamaSizes
    spec: ModelSpec
    adapters: int  # matrices that one was merged into
    rank: int  # the largest
    size_bytes: int


def import_llava(
    given: Llava, target: str | Path, tell: Written = lambda done, total: None
) -> LlavaReport:
    """Write a checkpoint folder from published weights, one tensor in memory at a time.

    Args:
        given: the folders, and what they do not say.
        target: folder to make; must not exist.
        tell: hears how many bytes are written, and of how many.

    Raises:
        InputError: a folder is missing, the target exists, or a size does not fit.
        CheckpointError: a file is damaged or of another architecture; the message names a tensor.
        SkyEyeError: the disk is full.
    """
    for path in (given.model, given.base, given.vision):
        if path is not None and not path.exists():
            raise InputError(f"{path}: no such folder")
    if not given.model.is_dir():
        raise InputError(f"{given.model}: no folder; give the one that the model was saved to")
    with (
        new_folder(Path(target), "import again") as draft,
        tempfile.TemporaryDirectory() as scratch,
    ):
        contents, config, sizes, parts = _contents(given, Path(scratch))
        write_checkpoint(draft, contents, tell)
    ranks = parts.merged.values()
    return LlavaReport(
        target=Path(target),
        vision=config,
        language=sizes,
        spec=contents.spec,
        adapters=len(ranks),
        rank=max(ranks, default=0),
        size_bytes=contents.size_bytes,
    )


def _contents(
    given: Llava, scratch: Path
) -> tuple[CheckpointContents, ClipConfig, LlamaSizes, Parts]:
    said = read_llava(given.model, given.base, given.vision)
    parts = _open(given)
    _check_whole(given, parts)
    language_config, sizes = _language_config(said, parts, given.model)
    config = _tower_config(said, parts, given)
    aligner, layers = _take_projector(parts, said, sizes.width, config.width)
    shapes = tensor_shapes(sizes)
    language = {name: parts.take(f"language.{name}", shape) for name, shape in shapes.items()}
    vision = take_clip(parts, config)
    parts.ignore(DERIVED)
    if sizes.tied:
        parts.ignore(r"language\.lm_head\.weight")
    parts.close("Only CLIP, a projector and a LLaMA are known")
    found = find_tokenizer((given.model, given.base))
    whole = said.whole or knows_images(found)
    encode = write_tokenizer(found, scratch / "tokenizer.model", sizes.vocabulary, whole=whole)
    spaces = given.spaces or spaces_of(found, encode, whole=whole)
    joining = AlignerConfig("mlp" if layers > 1 else "linear", 1, layers)
    family = "geochat" if said.geochat else "llava"
    contents = CheckpointContents(
        info=CheckpointInfo(
            name=given.name,
            version="1.0.0",
            created=now(),
            tasks=_TASKS + _EXTRA_TASKS.get(family, ()),
            licences=given.licences,
            provenance={"imported": _provenance(given, parts)},
        ),
        spec=ModelSpec(
            vision=VisionSpec(
                config.image_size, joining.tokens(config.grid), sizes.width, preprocess_of(said)
            ),
            prompt=PromptSpec(
                template="vicuna",
                instructions=given.instructions or family,
                system=given.system,
                spaces=spaces,
            ),
            boxes=BoxSpec(
                format=given.boxes or ("geochat" if said.geochat else "normalised"),
                within=_WITHIN[said.fit],
            ),
            context=sizes.context,
        ),
        vision_config=asdict(config),
        vision=vision,
        aligner=aligner,
        language=language,
        language_config=language_config,
        tokenizer=scratch / "tokenizer.model",
        architecture={"vision": "clip", "aligner": joining.kind, "language": "llama"},
        aligner_config={"joined": joining.joined, "layers": joining.layers},
    )
    return contents, config, sizes, parts


def _open(given: Llava) -> Parts:
    """All files, in the order in which later ones replace what earlier ones hold."""
    parts = Parts(_RENAMES, _scaling(given.model))
    if given.base is not None:
        parts.add(given.base, open_weights(given.base).tensors)
    tower = given.vision or tower_folder(given.model, given.vision)
    if tower is not None:
        parts.add(tower, open_weights(tower).tensors)
    for path in _files(given.model):
        parts.add(path, open_weights(path).tensors)
    return parts


def _files(folder: Path) -> list[Path]:
    """The folder itself, if it holds a whole model; else the files of what was trained.

    A whole model's folder may hold the projector of an earlier stage too, which nobody reads.
    """
    adapters = [folder / name for name in _ADAPTER_FILES if (folder / name).is_file()]
    trained = [folder / name for name in _TRAINED_FILES if (folder / name).is_file()]
    whole = [path for pattern in _WHOLE for path in folder.glob(pattern)]
    if whole and adapters:
        raise CheckpointError(
            f"{folder}: holds a whole model ({whole[0].name}) and adapters ({adapters[0].name}); "
            "move one of them away, and give the other's folder with --base"
        )
    if not (whole or adapters or trained):
        raise CheckpointError(
            f"{folder}: no weights: neither {', '.join(_WHOLE)} nor adapter_model.*, "
            "non_lora_trainables.* or mm_projector.*"
        )
    return [folder] if whole else [*adapters, *trained]


def _scaling(folder: Path) -> Scaling | None:
    """What `adapter_config.json` says; adapters that are computed otherwise are refused."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
        kind = str(values.get("peft_type", "LORA"))
        odd = [name for name in ("use_dora", "fan_in_fan_out", "use_qalora") if values.get(name)]
        if kind != "LORA" or odd:
            raise CheckpointError(f"{path}: {odd[0] if odd else kind}: only plain LoRA is known")
        patterns = {str(k): float(v) for k, v in (values.get("alpha_pattern") or {}).items()}
        return Scaling(float(values["lora_alpha"]), bool(values.get("use_rslora")), patterns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a usable configuration: {error!r}") from error


def _check_whole(given: Llava, parts: Parts) -> None:
    """Say in words which part is missing, before a tensor of it is looked for."""
    if not parts.names(r"language\.model\.embed_tokens\.weight"):
        raise CheckpointError(
            f"{given.model}: tensor 'model.embed_tokens.weight' is missing: there is no language "
            "model in it. Of adapters or a projector alone, give --base with the folder of the "
            "LLaMA (Vicuna) or LLaVA that they were trained on"
        )
    if not parts.names(r"projector\.0\.weight"):
        raise CheckpointError(
            f"{given.model}: tensor 'mm_projector.0.weight' (or "
            "'multi_modal_projector.linear_1.weight') is missing: a language model without "
            "projector is no LLaVA; mm_projector.bin or non_lora_trainables.bin holds it"
        )
    if not parts.names(r"vision\.embeddings\.class_embedding"):
        raise CheckpointError(
            f"{given.model}: tensor 'vision_model.embeddings.class_embedding' is missing: there is "
            "no CLIP in it; give --vision with the folder of the tower "
            "(clip-vit-large-patch14-336)"
        )


def _language_config(
    said: LlavaDescription, parts: Parts, model: Path
) -> tuple[dict[str, Any], LlamaSizes]:
    with needs("training"):
        from transformers import LlamaConfig
    known = {*LlamaConfig().to_dict(), "rope_theta", "rope_scaling", "head_dim"}
    known -= {"transformers_version", "architectures", "_name_or_path", "model_type"}
    stated = {key: value for key, value in said.language.items() if key in known}
    # Tables grow with tokens that are added, and configurations do not always say so.
    rows = parts.shape("language.model.embed_tokens.weight")[0]
    try:
        made = LlamaConfig(**(stated | {"vocab_size": rows}))
        config: dict[str, Any] = json.loads(made.to_json_string(use_diff=False))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{model / 'config.json'}: not a usable configuration: {error}"
        ) from error
    config = {key: value for key, value in config.items() if key != "transformers_version"}
    config |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    config["tie_word_embeddings"] &= not parts.names(r"language\.lm_head\.weight")
    return config, sizes_of(config, model / "config.json")


def _tower_config(said: LlavaDescription, parts: Parts, given: Llava) -> ClipConfig:
    kernel = parts.shape("vision.embeddings.patch_embedding.weight")
    width, patch = kernel[0], kernel[-1]
    stored = len({name.split(".")[3] for name in parts.names(r"vision\.encoder\.layers\.\d+\..+")})
    layer = said.feature_layer
    depth = layer if layer >= 0 else stored + 1 + layer
    if not 1 <= depth <= stored:
        raise CheckpointError(
            f"{given.model}: layer {layer} of the tower is looked at, which has {stored} blocks"
        )
    heads = given.vision_heads or said.tower.get("num_attention_heads") or width // CLIP_HEAD
    return ClipConfig(
        image_size=_image_size(said, parts, given, patch),
        patch=patch,
        width=width,
        depth=depth,
        heads=max(1, int(heads)),
        mlp=parts.shape("vision.encoder.layers.0.mlp.fc1.weight")[0],
        activation=str(said.tower.get("hidden_act", "quick_gelu")),
        norm_eps=float(said.tower.get("layer_norm_eps", 1e-5)),
    )


def _image_size(said: LlavaDescription, parts: Parts, given: Llava, patch: int) -> int:
    """Pixels along a side: as asked, as GeoChat's code has it, else as the tower was made for."""
    stored = stored_image_size(parts, patch)
    stated = said.tower.get("image_size")
    if isinstance(stated, int) and stated // patch == stored // patch:
        stored = stated  # pixels beyond the last whole patch are resized with, and not looked at
    source = parts.source("vision.embeddings.position_embedding.weight")
    trained = given.model in (source, source.parent) and stored != CLIP_SIZE
    resampled = said.geochat and not said.whole and not trained
    size = given.image_size or (GEOCHAT_SIZE if resampled else stored)
    if size < patch:
        raise InputError(f"--image-size {size}: smaller than a patch of {patch} px")
    processed = processor_size(said.preprocess) if said.whole else None
    if processed not in (None, size) and given.image_size is None:
        raise CheckpointError(
            f"{given.model}: the image processor gives {processed} px, the tower was made for "
            f"{size}; say which with --image-size"
        )
    return size


def _take_projector(
    parts: Parts, said: LlavaDescription, width: int, vision_width: int
) -> tuple[dict[str, LazyTensor], int]:
    numbers = sorted(int(name.split(".")[1]) for name in parts.names(r"projector\.\d+\.weight"))
    layers = len(numbers)
    if numbers != list(range(0, 2 * layers, 2)) or said.layers not in (None, layers):
        raise CheckpointError(
            f"{parts.source(f'projector.{numbers[0]}.weight')}: the projector has matrices "
            f"{numbers}, but the configuration says {said.layers} layers with GELU between"
        )
    found: dict[str, LazyTensor] = {}
    for place, number in enumerate(numbers):
        here = f"aligner.layers.{place}" if layers > 1 else "aligner.llama_proj"
        columns = width if place else vision_width
        found[f"{here}.weight"] = parts.take(f"projector.{number}.weight", (width, columns))
        bias = f"projector.{number}.bias"
        has_bias = bool(parts.names(rf"projector\.{number}\.bias"))
        found[f"{here}.bias"] = parts.take(bias, (width,)) if has_bias else lazy(torch.zeros(width))
    return found, layers


def _provenance(given: Llava, parts: Parts) -> dict[str, Any]:
    folders = {"model": given.model, "base": given.base, "vision": given.vision}
    return {
        "format": "llava",
        **{key: folder.resolve().name for key, folder in folders.items() if folder is not None},
        "lora": {"ranks": sorted(set(parts.merged.values())), "matrices": len(parts.merged)},
    }
