"""The architecture in PyTorch, from a checkpoint folder and back into one."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from skyeye_edge.core.errors import CheckpointError, InputError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.model.aligner import build_aligner
from skyeye_edge.training.model.alignment import AlignerConfig
from skyeye_edge.training.model.checkpoint import (
    LANGUAGE,
    CheckpointContents,
    CheckpointInfo,
    read_contents,
    write_checkpoint,
)
from skyeye_edge.training.model.tensors import LazyTensor, as_dtype, lazy
from skyeye_edge.training.model.towers import Tower, TowerConfig
from skyeye_edge.training.model.vision import VisionSide, read_parts
from skyeye_edge.training.quiet import quiet

_MINIGPTV2 = AlignerConfig()


class SkyEyeModel(VisionSide):
    """The vision side and the language model.

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
        width = int(language_model.config.hidden_size)
        _check_sizes(vision.config, aligner, width, spec)
        super().__init__(vision, aligner, width)
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
    def from_checkpoint(
        cls,
        folder: str | Path,
        *,
        attention: str = "eager",
        dtype: torch.dtype = torch.float32,
        four_bits: bool = False,
    ) -> SkyEyeModel:
        """The model of a checkpoint folder, in evaluation mode.

        Args:
            folder: with `skyeye.json`.
            attention: of the language model, by transformers' names.
            dtype: of all weights; half precision halves the memory of what stays frozen.
            four_bits: the decoder's matrices as NF4 (QLoRA, arXiv 2305.14314), which needs a GPU.

        Raises:
            CheckpointError: a file is missing, damaged, or does not fit the others.
        """
        folder = Path(folder)
        contents = read_contents(folder)
        try:
            with quiet():
                language_model = AutoModelForCausalLM.from_pretrained(
                    folder / LANGUAGE,
                    dtype=dtype,
                    attn_implementation=attention,
                    quantization_config=_nf4(dtype) if four_bits else None,
                )
            with torch.device("meta"):  # no memory for weights that are replaced at once
                vision, aligner = read_parts(contents)
                model = cls(
                    vision,
                    language_model,
                    contents.spec,
                    contents.info,
                    contents.tokenizer,
                    aligner,
                )
            model.load(contents, dtype)
        except (ValueError, OSError, InputError, CheckpointError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder}: not a usable checkpoint: {error}. "
                "Make one with `skyeye-edge merge RUN -o CHECKPOINT`"
            ) from error
        model.eval()
        return model

    def save_memory(self) -> None:
        """Keep only what enters the decoder's layers for the backward pass; compute the rest again.

        A frozen tower keeps nothing anyway.
        """
        self.language_model.gradient_checkpointing_enable({"use_reentrant": False})

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


def _nf4(dtype: torch.dtype) -> BitsAndBytesConfig:
    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise InputError(
            "frozen: nf4 needs a GPU with CUDA and `pip install bitsandbytes`; bfloat16 works "
            "everywhere"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


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
