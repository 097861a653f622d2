"""What the configuration files of a LLaVA-1.5 model say, in Hugging Face's layout or the original.

Source: transformers' LlavaConfig; LLaVA, llava_arch.py and clip_encoder.py; GeoChat's changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.spec import Fit, PreprocessSpec

GEOCHAT_SIZE = 504  # pixels: its code resamples the tower to this size whatever the files say
_BICUBIC = 3  # Pillow's number
_CLIP_DEFAULTS = {"num_attention_heads": 12}  # what transformers leaves out of a file
_ORIGINAL = ("llava", "llava_llama", "geochat", "llama")  # model types of the original layout
_KNOWN_OTHERS = {
    "llava_next": "LLaVA-NeXT looks at several crops of an image",
    "llava_onevision": "LLaVA-OneVision looks at several crops of an image",
    "llava_mistral": "its language model is a Mistral",
    "llava_mpt": "its language model is an MPT",
    "mpt": "its language model is an MPT",
    "qwen2_vl": "Qwen2-VL has another tower and other positions",
    "qwen2_5_vl": "Qwen2.5-VL has another tower and other positions",
    "blip-2": "BLIP-2 has a Q-Former",
    "instructblip": "InstructBLIP has a Q-Former",
    "minigpt4": "that is a MiniGPT: skyeye-edge import minigptv2",
}


@dataclass(frozen=True, slots=True)
class LlavaDescription:
    """A model of the family, as far as no tensor says it."""

    whole: bool  # Hugging Face's layout, whose processor encodes prompts as a whole
    geochat: bool
    language: dict[str, Any]  # LlamaConfig's values
    tower: dict[str, Any]  # CLIPVisionConfig's values; empty: nothing is said
    feature_layer: int  # of the tower's hidden states, usually -2
    layers: int | None  # of the projector; None: as many as there are
    fit: Fit
    preprocess: Mapping[str, Any]  # of the image processor; empty: nothing is said


def read_llava(model: Path, base: Path | None, vision: Path | None) -> LlavaDescription:
    """The description in a model's folder, or where that has adapters alone, in its base's.

    Raises:
        CheckpointError: there is none, it is damaged, or of another architecture.
    """
    folder = next((f for f in (model, base) if f and (f / "config.json").is_file()), None)
    if folder is None:
        raise CheckpointError(
            f"{model}: there is no config.json; give the folder as it was downloaded, and of "
            "adapters alone their --base"
        )
    path = folder / "config.json"
    config = _read(path)
    _check_family(config, path)
    if "text_config" in config or "vision_config" in config:
        return _hugging_face(config, folder, path)
    return _original(config, model, path, vision)


def _check_family(config: Mapping[str, Any], path: Path) -> None:
    kind = str(config.get("model_type", ""))
    written = " ".join(config.get("architectures") or ()).lower()
    if config.get("quantization_config"):
        raise CheckpointError(f"{path}: its weights are quantised; give the ones it was made of")
    why = _KNOWN_OTHERS.get(kind, "")
    for other in ("mistral", "mpt", "qwen", "gemma", "phi", "next", "onevision", "video"):
        if other in written and not why:
            why = f"its class is {written}"
    # Children of LLaVA give their classes and model types names of their own.
    child = "mm_vision_tower" in config and written.endswith("llamaforcausallm")
    if why or not (child or kind in _ORIGINAL):
        raise CheckpointError(
            f"{path}: model type {kind!r} is not of the LLaVA-1.5 family (CLIP, projector, LLaMA)"
            + (f": {why}" if why else "")
        )


def _hugging_face(config: Mapping[str, Any], folder: Path, path: Path) -> LlavaDescription:
    text, tower = dict(config.get("text_config") or {}), dict(config.get("vision_config") or {})
    _expect(path, "text_config.model_type", text.get("model_type", "llama"), ("llama",))
    kinds = ("clip_vision_model",)
    _expect(path, "vision_config.model_type", tower.get("model_type", kinds[0]), kinds)
    strategy = config.get("vision_feature_select_strategy", "default")
    _expect(path, "vision_feature_select_strategy", strategy, ("default",))
    _expect(path, "projector_hidden_act", config.get("projector_hidden_act", "gelu"), ("gelu",))
    layer = config.get("vision_feature_layer", -2)
    if not isinstance(layer, int):
        raise CheckpointError(f"{path}: vision_feature_layer {layer!r}: only one layer can be used")
    preprocess = _processor(folder)
    return LlavaDescription(
        whole=True,
        geochat=_is_geochat(config, folder),
        language=text | {"tie_word_embeddings": _is_tied(config, text)},
        tower=_CLIP_DEFAULTS | tower if tower else {"num_attention_heads": 16},
        feature_layer=layer,
        layers=2,
        fit=_fit_of(preprocess, folder),
        preprocess=preprocess,
    )


def _is_tied(*configs: Mapping[str, Any]) -> bool:
    """Whichever of them says it: transformers' versions differ in where they look."""
    return any(bool(config.get("tie_word_embeddings")) for config in configs)


def _original(
    config: Mapping[str, Any], model: Path, path: Path, vision: Path | None
) -> LlavaDescription:
    if str(config.get("image_aspect_ratio", "")).startswith("anyres"):
        raise CheckpointError(f"{path}: {_KNOWN_OTHERS['llava_next']} (image_aspect_ratio anyres)")
    _expect(path, "mm_use_im_start_end", config.get("mm_use_im_start_end") or False, (False,))
    feature = config.get("mm_vision_select_feature", "patch")
    _expect(path, "mm_vision_select_feature", feature, ("patch",))
    aspect = config.get("image_aspect_ratio") or "square"
    _expect(path, "image_aspect_ratio", aspect, ("pad", "square"))
    fits: dict[str, Fit] = {"pad": "pad", "square": "crop"}
    folder = _tower_folder(config, model, vision)
    return LlavaDescription(
        whole=False,
        geochat=_is_geochat(config, model),
        language=dict(config),
        tower=_clip_config(folder),
        feature_layer=int(config.get("mm_vision_select_layer", -2)),
        layers=_projector_layers(config.get("mm_projector_type"), path),
        fit=fits[aspect],
        preprocess=_processor(folder) if folder else {},
    )


def _projector_layers(kind: object, path: Path) -> int | None:
    if kind in (None, "linear"):
        return None if kind is None else 1
    found = re.fullmatch(r"mlp(\d+)x_gelu", str(kind))
    if found is None:
        raise CheckpointError(
            f"{path}: mm_projector_type {kind!r}; only 'linear' and 'mlp2x_gelu' are known"
        )
    return int(found[1])


def _tower_folder(config: Mapping[str, Any], model: Path, vision: Path | None) -> Path | None:
    """--vision, or a folder of the tower's name in the model's or beside it."""
    if vision is not None:
        return vision if vision.is_dir() else vision.parent
    name = str(config.get("mm_vision_tower") or config.get("vision_tower") or "").rsplit("/")[-1]
    places = (model / name, model.parent / name) if name else ()
    return next((place for place in places if (place / "config.json").is_file()), None)


def tower_folder(model: Path, vision: Path | None) -> Path | None:
    """Where a tower lies that is not among the model's own weights; None: nowhere.

    Raises:
        CheckpointError: the model's configuration is damaged.
    """
    path = model / "config.json"
    return _tower_folder(_read(path) if path.is_file() else {}, model, vision)


def _clip_config(folder: Path | None) -> dict[str, Any]:
    if folder is None or not (folder / "config.json").is_file():
        return {}
    path = folder / "config.json"
    config = _read(path)
    found: dict[str, Any] = config.get("vision_config", config)
    kind = found.get("model_type", config.get("model_type"))
    _expect(path, "model_type", kind, ("clip_vision_model", "clip"))
    return _CLIP_DEFAULTS | found


def _is_geochat(config: Mapping[str, Any], folder: Path) -> bool:
    said = (
        config.get("model_type"), config.get("architectures"), config.get("_name_or_path"),
        folder.resolve().name,
    )  # fmt: skip
    return "geochat" in str(said).lower()


def _processor(folder: Path) -> dict[str, Any]:
    """The image processor's values; transformers 5 keeps them within the processor's."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            values = _read(folder / name)
            found = values.get("image_processor", values)
            if isinstance(found, dict) and "image_mean" in found:
                return found
    return {}


def _fit_of(values: Mapping[str, Any], folder: Path) -> Fit:
    """How an image becomes a square; what no value of ours says is refused."""
    where = folder / "preprocessor_config.json"
    for name in ("do_resize", "do_rescale", "do_normalize"):
        _expect(where, name, values.get(name, True), (True,))
    _expect(where, "resample", values.get("resample", _BICUBIC), (_BICUBIC,))
    size, crop = _edges(values.get("size")), _edges(values.get("crop_size"))
    cropped = values.get("do_center_crop", True)
    if values.get("do_pad"):
        return "pad"
    if not cropped and size and size[0] == "square":
        return "stretch"
    if not cropped or (size and crop and size[1] != crop[1]) or (size and size[0] == "square"):
        raise CheckpointError(
            f"{where}: size {values.get('size')}, crop_size {values.get('crop_size')}, "
            f"do_center_crop {cropped}: only the central square, a padded one, or stretching is "
            "known"
        )
    return "crop"


def _edges(size: Any) -> tuple[str, int] | None:
    """("shortest", pixels) or ("square", pixels)."""
    if isinstance(size, int):
        return "shortest", size
    if isinstance(size, dict) and "shortest_edge" in size:
        return "shortest", int(size["shortest_edge"])
    if isinstance(size, dict) and size.get("height") == size.get("width") is not None:
        return "square", int(size["height"])
    return None


def processor_size(values: Mapping[str, Any]) -> int | None:
    """Pixels along a side that the image processor gives; None: it does not say."""
    found = _edges(values.get("crop_size")) or _edges(values.get("size"))
    return found[1] if found else None


def preprocess_of(description: LlavaDescription) -> PreprocessSpec:
    """The image processor as a value of the specification.

    Raises:
        InputError: mean or std make no sense.
    """
    usual = PreprocessSpec(fit=description.fit)
    mean = description.preprocess.get("image_mean") or usual.mean
    std = description.preprocess.get("image_std") or usual.std
    try:
        (red, green, blue), (red_std, green_std, blue_std) = map(float, mean), map(float, std)
    except (TypeError, ValueError) as error:
        raise InputError(f"image processor: mean {mean!r}, std {std!r}: {error}") from error
    return PreprocessSpec(
        fit=description.fit, mean=(red, green, blue), std=(red_std, green_std, blue_std)
    )


def _expect(path: Path, name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise CheckpointError(
            f"{path}: {name} {value!r} is not known, only {', '.join(map(repr, known))}; this is "
            "not of the LLaVA-1.5 family"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a usable configuration: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: not a usable configuration: no JSON object")
    return values
