"""The architecture in PyTorch, from a checkpoint folder and back into one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.model.aligner import build_aligner
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import (
    ALIGNER,
    LANGUAGE,
    VISION,
    CheckpointContents,
    CheckpointInfo,
    read_description,
    write_checkpoint,
)
from skyeye_edge.training.model.tensors import LazyTensor, as_dtype, lazy
from skyeye_edge.training.model.towers import Tower, TowerConfig, build_tower
from skyeye_edge.training.quiet import quiet

_MINIGPTV2 = AlignerConfig()


class SkyEyeModel(nn.Module):
    """Vision tower, norm, aligner and language model.

    `language_model` is the Hugging Face causal LM; `tokenizer_file` the sentencepiece model that
    belongs to it.
    """

    accepts_loss_kwargs = True  # the Trainer then says `num_items_in_batch`

    def __init__(
        self,
        vision: Tower,
        language_model: PreTrainedModel,
        spec: ModelSpec,
        info: CheckpointInfo,
        tokenizer_file: Path,
        aligner: AlignerConfig = _MINIGPTV2,
    ) -> None:
        super().__init__()
        width = int(language_model.config.hidden_size)
        _check_sizes(vision.config, aligner, width, spec)
        self.vision = vision
        self.ln_vision = vision.closing_norm()
        self.aligner = build_aligner(vision.config.width, width, aligner, vision.config.grid)
        self.language_model = language_model
        self.spec = spec
        self.info = info
        self.tokenizer_file = tokenizer_file

    def renew_aligner(self, config: AlignerConfig) -> None:
        """Exchange the aligner for a fresh one, perhaps of another kind; `spec` stays as it is."""
        tower, width = self.vision.config, int(self.language_model.config.hidden_size)
        self.aligner = build_aligner(tower.width, width, config, tower.grid)

    @property
    def architecture(self) -> dict[str, str]:
        """The kinds of its parts, as `skyeye.json` names them."""
        aligner = self.aligner.config.kind
        return {"vision": self.vision.kind, "aligner": aligner, "language": "llama"}

    @property
    def _aligner_config(self) -> dict[str, object]:
        return {key: value for key, value in asdict(self.aligner.config).items() if key != "kind"}

    def encode_image(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, S, S) normalised pixels to (B, N, D) visual tokens.

        Source: MiniGPT-v2, minigpt_v2.py: norm over all tokens, class token dropped, four joined;
            LLaVA, clip_encoder.py: no norm, class token dropped, none joined.
        """
        return self.aligner(self.patch_features(pixel_values))

    def patch_features(self, pixel_values: Tensor, kept: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) to (B, P, vision width): the tower's features, class token dropped.

        With `kept` (B, K) only those patches are looked at, and returned in that order.
        """
        return self.ln_vision(self.vision(pixel_values, kept))[:, 1:]

    def embed(self, input_ids: Tensor, visual_tokens: Tensor) -> Tensor:
        """(B, L) ids and (F, N, D) visual tokens to (B, L, D) embeddings.

        Every negative id is a place for one visual token; they are filled in order.
        """
        places = input_ids < 0
        embedded = self.language_model.get_input_embeddings()(input_ids.clamp(min=0))
        if visual_tokens.shape[0] == 0:
            return embedded
        flat = visual_tokens.flatten(0, 1).to(embedded.dtype)
        return embedded.masked_scatter(places.unsqueeze(-1), flat)

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor,
        num_items_in_batch: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Loss of the next token, mean over all positions that are learnt.

        Args:
            pixel_values: (F, 3, S, S), all frames of the batch in order.
            input_ids: (B, L), negative where a visual token stands.
            labels: (B, L), -100 where nothing is learnt; not shifted.
            attention_mask: (B, L), 0 on padding.
            num_items_in_batch: learnt positions of all batches of a step, on all devices; without
                it, those of this batch. A mean of means would weigh short answers more.
        """
        embedded = self.embed(input_ids, self.encode_image(pixel_values))
        logits = self.language_model(inputs_embeds=embedded, attention_mask=attention_mask).logits
        shifted = logits[:, :-1].float().flatten(0, 1)
        learnt = labels[:, 1:].flatten()
        loss = nn.functional.cross_entropy(shifted, learnt, ignore_index=-100, reduction="sum")
        number = (learnt != -100).sum() if num_items_in_batch is None else num_items_in_batch
        loss = loss / number
        return {"loss": loss, "logits": logits}

    @classmethod
    def from_checkpoint(cls, folder: str | Path, *, attention: str = "eager") -> SkyEyeModel:
        """The float32 model of a checkpoint folder, in evaluation mode.

        Raises:
            CheckpointError: a file is missing, damaged, or does not fit the others.
        """
        folder = Path(folder)
        values = read_description(folder)
        try:
            spec = ModelSpec.from_json(values["spec"])
            architecture = values["architecture"]
            vision = build_tower(architecture["vision"], values["vision_config"])
            aligner = AlignerConfig(architecture["aligner"], **values.get("aligner_config", {}))
            with quiet():
                language_model = AutoModelForCausalLM.from_pretrained(
                    folder / LANGUAGE, dtype=torch.float32, attn_implementation=attention
                )
            known = {
                key: values[key] for key in CheckpointInfo.__dataclass_fields__ if key in values
            }
            known |= {key: tuple(known.get(key, ())) for key in ("tasks", "licences")}
            tokenizer = folder / LANGUAGE / "tokenizer.model"
            info = CheckpointInfo(**known)
            model = cls(vision, language_model, spec, info, tokenizer, aligner)
            model._load_part(folder / VISION, ("vision.", "ln_vision."))
            model._load_part(folder / ALIGNER, ("aligner.",))
        except (KeyError, TypeError, ValueError, OSError, InputError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder}: not a usable checkpoint: {error}. "
                "Make one with `skyeye-edge merge RUN -o CHECKPOINT`"
            ) from error
        model.eval()
        return model

    def _load_part(self, path: Path, prefixes: tuple[str, ...]) -> None:
        wanted = {
            key: value for key, value in self.state_dict().items() if key.startswith(prefixes)
        }
        found = {key: value.float() for key, value in load_file(path).items()}
        if found.keys() != wanted.keys():
            odd = sorted(found.keys() ^ wanted.keys())
            raise CheckpointError(
                f"{path}: {len(odd)} tensors missing or not known, first {odd[0]}"
            )
        for key, value in found.items():
            if value.shape != wanted[key].shape:
                raise CheckpointError(
                    f"{path}: {key} is {tuple(value.shape)}, should be {tuple(wanted[key].shape)}"
                )
        self.load_state_dict(found, strict=False)

    def save_checkpoint(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write the checkpoint folder, weights as they are in memory, or rounded to `dtype`.

        The folder must not exist or be empty.
        """
        contents = CheckpointContents(
            info=self.info,
            spec=self.spec,
            vision_config=asdict(self.vision.config),
            vision=self._weights(("vision.", "ln_vision."), dtype),
            aligner=self._weights(("aligner.",), dtype),
            language=self._language_weights(dtype),
            language_config=self._language_config(dtype),
            tokenizer=self.tokenizer_file,
            architecture=self.architecture,
            aligner_config=self._aligner_config,
        )
        write_checkpoint(Path(folder), contents, lambda done, total: None)
        return Path(folder)

    def _weights(
        self, prefixes: tuple[str, ...], dtype: torch.dtype | None
    ) -> dict[str, LazyTensor]:
        return {
            name: lazy(value) if dtype is None else as_dtype(lazy(value), dtype)
            for name, value in self.state_dict().items()
            if name.startswith(prefixes)
        }

    def _language_weights(self, dtype: torch.dtype | None) -> dict[str, LazyTensor]:
        prefix = "language_model."
        found = self._weights((prefix,), dtype)
        if self.language_model.config.tie_word_embeddings:  # the output matrix is the embedding
            found.pop(f"{prefix}lm_head.weight", None)
        return {name.removeprefix(prefix): tensor for name, tensor in found.items()}

    def _language_config(self, dtype: torch.dtype | None) -> dict[str, object]:
        config = self.language_model.config
        values: dict[str, object] = json.loads(config.to_json_string())
        number = str(dtype or self.language_model.dtype).removeprefix("torch.")
        return {**values, "architectures": [type(self.language_model).__name__], "dtype": number}


def _check_sizes(
    config: TowerConfig, aligner: AlignerConfig, language_width: int, spec: ModelSpec
) -> None:
    made = (config.image_size, aligner.tokens(config.grid), language_width)
    said = (spec.vision.image_size, spec.vision.tokens, spec.vision.width)
    if said != made:
        raise CheckpointError(
            f"specification says {said[0]} px, {said[1]} tokens of {said[2]}; the weights make "
            f"{made[0]}, {made[1]}, {made[2]}"
        )
