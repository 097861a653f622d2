"""SkyEyeGPT and MiniGPT-v2 weights as a checkpoint: adapters and projection, EVA tower, LLaMA.

Source: the names that the original writer uses (skyeyegpt.md, 7).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.spec import ModelSpec, PromptSpec, VisionSpec
from skyeye_edge.training.importing.eva import take_eva, take_norm
from skyeye_edge.training.importing.language import Language, read_language
from skyeye_edge.training.model.adapters import Adapter, merged, take_adapters
from skyeye_edge.training.model.alignment import JOINED
from skyeye_edge.training.model.checkpoint import (
    CheckpointContents,
    CheckpointInfo,
    Written,
    new_folder,
    now,
    write_checkpoint,
)
from skyeye_edge.training.model.eva import EvaConfig
from skyeye_edge.training.model.ledger import Ledger
from skyeye_edge.training.model.llama import DERIVED
from skyeye_edge.training.model.tensors import Weights, open_weights

IMAGE_SIZE, ALPHA, HEADS = 448, 16.0, 16  # where neither the file nor the caller says otherwise
TASKS = (
    "caption",
    "describe",
    "describe_boxes",
    "classify",
    "ground",
    "detect",
    "identify",
    "ask",
)
_LLAMA = "llama_model."
_ADAPTED = f"{_LLAMA}base_model.model."


@dataclass(frozen=True, slots=True)
class MiniGptV2:
    """What there is of a model, and what its files do not say."""

    checkpoint: Path  # `.pth` with adapters and projection
    vision: Path  # `.pth` with the EVA tower
    language: Path  # Hugging Face folder of the LLaMA it was trained on
    name: str = "minigptv2"  # what the checkpoint calls itself
    licences: tuple[str, ...] = ()
    lora_alpha: float | None = None  # None: what the checkpoint says, else 16
    image_size: int | None = None  # pixels along a side; None: what the checkpoint says, else 448
    vision_heads: int = HEADS
    vision_blocks: int | None = None  # None: all but the last of the file


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import made of the files."""

    target: Path
    vision: EvaConfig
    language: Language
    adapters: int  # matrices that one was merged into
    rank: int
    alpha: float
    size_bytes: int


def import_minigptv2(
    given: MiniGptV2, target: str | Path, tell: Written = lambda done, total: None
) -> ImportReport:
    """Write a checkpoint folder from published weights, one tensor in memory at a time.

    Args:
        given: the files, and what they do not say.
        target: folder to make; must not exist.
        tell: hears how many bytes are written, and of how many.

    Raises:
        InputError: a file is missing, the target exists, or a size does not fit.
        CheckpointError: a file is damaged or of another architecture; the message names a tensor.
        SkyEyeError: the disk is full.
    """
    for path in (given.checkpoint, given.vision):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    with new_folder(Path(target), "import again") as draft:
        contents, report = _contents(given, Path(target))
        write_checkpoint(draft, contents, tell)
    return report


def _contents(given: MiniGptV2, target: Path) -> tuple[CheckpointContents, ImportReport]:
    trained = open_weights(given.checkpoint)
    size, alpha = _sizes(given, trained)
    ours = Ledger(given.checkpoint, trained.tensors)
    same = given.vision.samefile(given.checkpoint)
    tower = ours if same else Ledger(given.vision, open_weights(given.vision).tensors)
    _check_projection(ours)
    config, vision = take_eva(tower, size, given.vision_heads, given.vision_blocks)
    vision |= take_norm((ours, tower), config.width)
    language = read_language(given.language)
    shape = (language.sizes.width, JOINED * config.width)
    aligner = {
        "aligner.llama_proj.weight": ours.take("llama_proj.weight", shape),
        "aligner.llama_proj.bias": ours.take("llama_proj.bias", shape[:1]),
    }
    adapters = take_adapters(ours, language.tensors, _ADAPTED, alpha)
    ours.ignore(_LLAMA.replace(".", r"\.") + DERIVED)
    ours.close()
    tower.close()
    changed = {name: merged(language.tensors[name], a) for name, a in adapters.items()}
    contents = CheckpointContents(
        info=_info(given, adapters, alpha),
        spec=_spec(config, language),
        vision_config=asdict(config),
        vision=vision,
        aligner=aligner,
        language={**language.tensors, **changed},
        language_config=language.config,
        tokenizer=language.tokenizer,
    )
    rank = max((adapter.rank for adapter in adapters.values()), default=0)
    report = (target, config, language, len(adapters), rank, alpha, contents.size_bytes)
    return contents, ImportReport(*report)


def _sizes(given: MiniGptV2, trained: Weights) -> tuple[int, float]:
    """Pixels of a picture's side, and alpha: as asked for, else as the run's configuration says."""
    said = _said(trained)
    try:
        size = given.image_size or int(said.get("image_size", IMAGE_SIZE))
        alpha = given.lora_alpha
        alpha = float(said.get("lora_alpha", ALPHA)) if alpha is None else alpha
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{given.checkpoint}: its config says something odd: {error}; "
            "give --image-size and --lora-alpha yourself"
        ) from error
    if alpha <= 0:
        raise InputError(f"--lora-alpha {alpha}: must be above 0")
    return size, alpha


def _spec(config: EvaConfig, language: Language) -> ModelSpec:
    """As MiniGPT-v2 is trained and asked, boxes truncated to their bins (coco_dataset.py)."""
    tokens = config.grid**2 // JOINED
    return ModelSpec(
        vision=VisionSpec(config.image_size, tokens, language.sizes.width),
        prompt=PromptSpec(train_form="train", infer_form="infer"),
        boxes=BoxSpec(labels="truncated"),
        context=language.sizes.context,
    )


def _info(given: MiniGptV2, adapters: dict[str, Adapter], alpha: float) -> CheckpointInfo:
    return CheckpointInfo(
        name=given.name,
        version="1.0.0",
        created=now(),
        tasks=TASKS,
        licences=given.licences,
        provenance={"imported": _provenance(given, adapters, alpha)},
    )


def _said(trained: Weights) -> dict[str, Any]:
    """What the run's own configuration says about the model, if it is in the file."""
    config = trained.values.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, dict) else {}


def _check_projection(ledger: Ledger) -> None:
    if "llama_proj.weight" in ledger.names:
        return
    llava = any("mm_projector" in name or "multi_modal" in name for name in ledger.names)
    hint = "it looks like a LLaVA model: skyeye-edge import llava" if llava else "first in it: "
    first = "" if llava else ", ".join(ledger.names[:3])
    raise CheckpointError(
        f"{ledger.source}: tensor 'llama_proj.weight' is missing, so this is no SkyEyeGPT or "
        f"MiniGPT-v2 checkpoint; {hint}{first}"
    )


def _provenance(given: MiniGptV2, adapters: dict[str, Adapter], alpha: float) -> dict[str, Any]:
    ranks = sorted({adapter.rank for adapter in adapters.values()})
    return {
        "format": "minigptv2",
        "checkpoint": {"file": given.checkpoint.name, "sha256": _sha256(given.checkpoint)},
        "vision": {"file": given.vision.name, "sha256": _sha256(given.vision)},
        "language": given.language.resolve().name,
        "lora": {"ranks": ranks, "alpha": alpha, "matrices": len(adapters)},
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
