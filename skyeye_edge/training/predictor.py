"""Answers from a checkpoint in PyTorch: the truth that bundles are measured against.

The same prompts, automatons and greedy loop as the runtime's, in float32 with eager attention.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import DynamicCache

from skyeye_edge.core.automaton import Automaton, Vocabulary, task_automaton
from skyeye_edge.core.choice import Choice, Logits, ReplyBuilder, choose
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.preprocess import VisualTokens, preprocess
from skyeye_edge.core.prompt import (
    Control,
    ImageSlot,
    Segment,
    Text,
    Turn,
    build_prompt,
    text_ids,
)
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.results import TaskResult
from skyeye_edge.core.tasks import ONE_FRAME_TASKS, Task, max_tokens, task_name
from skyeye_edge.training.data.collate import IMAGE, Tokenizer
from skyeye_edge.training.data.record import RGB, read_rgb, sizes_of
from skyeye_edge.training.model.skyeye import SkyEyeModel

Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8] | Frame
Pictures = Picture | Sequence[Picture]  # one image, or the frames of a clip


class CheckpointPredictor:
    """A checkpoint, ready to answer; for one thread at a time."""

    def __init__(self, checkpoint: str | os.PathLike[str] | SkyEyeModel) -> None:
        """Open a checkpoint folder, or wrap a model that is already there.

        Raises:
            CheckpointError: the folder is missing, damaged, or does not fit.
        """
        self.model: SkyEyeModel = (
            checkpoint
            if isinstance(checkpoint, SkyEyeModel)
            else SkyEyeModel.from_checkpoint(Path(checkpoint))
        )
        self.model.eval()
        self.spec = self.model.spec
        self.tokenizer = Tokenizer(self.model.tokenizer_file)
        rows = int(self.model.language_model.config.vocab_size)
        self.vocabulary = build_vocabulary(self.tokenizer, rows)

    def run(self, image: Pictures, tasks: Sequence[Task]) -> list[TaskResult]:
        """One result per task, in order, from one encoding per frame.

        Args:
            image: a path, PIL image, (H, W, 3) uint8 RGB array or Frame; a sequence is a clip.
            tasks: what is asked.
        """
        images = _read(image)
        replies = self.replies(images, tasks)
        size = sizes_of(images)[-1]
        return [
            parse_reply(task, reply, size, self.spec.boxes, self.spec.scores)
            for task, reply in zip(tasks, replies, strict=True)
        ]

    def replies(
        self,
        image: Pictures,
        tasks: Sequence[Task],
        *,
        history: Sequence[Turn] = (),
        max_tokens: int | None = None,
        keep_logits: bool = False,
    ) -> list[Reply]:
        """The replies that `run` reads its results from.

        Args:
            image: as for `run`.
            tasks: what is asked.
            history: earlier questions about the same image, with their answers.
            max_tokens: how long an answer may be; None: as the task says.
            keep_logits: keep the scores of every free choice, for parity.

        Raises:
            InputError: a prompt does not fit the context, a box task is asked of a clip, or a clip
                is longer than those it was trained on.
        """
        images = _read(image)
        self.spec.check_frames(len(images))
        visual_tokens = self._encode(images)
        return [
            self._answer(task, images, visual_tokens, tuple(history), max_tokens, keep_logits)
            for task in tasks
        ]

    def encode(self, image: Picture) -> VisualTokens:
        """Visual tokens (N, d) of one image."""
        tokens: VisualTokens = self._encode(_read(image))[0].cpu().numpy()
        return tokens

    @torch.inference_mode()
    def _encode(self, images: Sequence[RGB]) -> Tensor:
        # One at a time, as the runtime does: batches round differently.
        pixels = [torch.from_numpy(preprocess(rgb, self.spec.vision)) for rgb in images]
        return torch.cat([self.model.encode_image(each.to(self._device)) for each in pixels])

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _answer(
        self,
        task: Task,
        images: Sequence[RGB],
        visual_tokens: Tensor,
        history: tuple[Turn, ...],
        limit: int | None,
        keep_logits: bool,
    ) -> Reply:
        if len(images) > 1 and isinstance(task, ONE_FRAME_TASKS):
            raise InputError(f"{task_name(task)}: boxes belong to one frame, not to a clip")
        segments = build_prompt((*history, (task, None)), sizes_of(images), self.spec)
        ids = self._prompt_ids(segments)
        if len(ids) >= self.spec.context:
            raise InputError(
                f"the prompt has {len(ids):,} positions, the model's context {self.spec.context:,}"
            )
        room = min(
            max_tokens(task) if limit is None else limit,
            self.spec.context - len(ids),
        )
        automaton = task_automaton(task, self.vocabulary, self.spec)
        with torch.inference_mode():
            live = _Live(self.model)
            logits = live.append(self.model.embed(self._tensor(ids), visual_tokens))
            return self._continue(live, logits, automaton, room, keep_logits)

    def _prompt_ids(self, segments: Sequence[Segment]) -> list[int]:
        ids: list[int] = []
        for segment in segments:
            match segment:
                case Text():
                    ids += text_ids(segment, self.vocabulary.encode)
                case Control(token=token):
                    ids.append(self.tokenizer.controls[token])
                case ImageSlot():
                    ids += [IMAGE] * self.spec.vision.tokens
        return ids

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self._device)

    def _continue(
        self,
        live: _Live,
        logits: Logits,
        automaton: Automaton | None,
        limit: int,
        keep_logits: bool,
    ) -> Reply:
        """The best allowed token after the other; runs of forced ones are computed in one go."""
        state = automaton.start() if automaton else None
        draft = ReplyBuilder(self.vocabulary, keep_logits)
        waiting: list[int] = []  # chosen, but not computed yet
        while True:
            allowed = state.allowed() if state else None
            if allowed is not None and len(allowed) == 1:
                choice = Choice(int(allowed[0]))
            else:
                if waiting:
                    embedded = self.model.embed(self._tensor(waiting), _NO_IMAGES)
                    logits, waiting = live.append(embedded), []
                choice = choose(logits, self.vocabulary, state)
            draft.note(choice)
            if choice.token == self.vocabulary.end:
                return draft.reply("end")
            if draft.add(choice) == limit:
                return draft.reply("length")
            waiting.append(choice.token)
            state = state.advance(choice.token) if state else None


_NO_IMAGES = torch.zeros(0, 0, 0)


class _Live:
    """The decoder with the keys and values of what it has read."""

    def __init__(self, model: SkyEyeModel) -> None:
        self._language_model = model.language_model
        self._cache: Any = DynamicCache()

    def append(self, embedded: Tensor) -> Logits:
        """Read (1, L, D) embeddings; returns the scores (V,) of the next token."""
        output = self._language_model(
            inputs_embeds=embedded, past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        self._cache = output.past_key_values
        logits: Logits = output.logits[0, -1].float().cpu().numpy()
        return logits


def build_vocabulary(tokenizer: Tokenizer, rows: int) -> Vocabulary:
    """The tokenizer as automatons see it.

    Args:
        tokenizer: sentencepiece.
        rows: of the embedding; ids beyond the pieces have no text.
    """
    processor = tokenizer.processor
    pieces = [_piece(processor, token) for token in range(processor.get_piece_size())]

    def encode(text: str) -> list[int]:
        # Lone surrogates cannot be UTF-8; the runtime replaces them too.
        return tokenizer.encode(text.encode("utf-8", "replace").decode("utf-8"))

    fill = [None] * (rows - len(pieces))
    return Vocabulary((*pieces, *fill), tokenizer.controls["end"], encode)


def _piece(processor: Any, token: int) -> bytes | None:
    if processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token):
        return None
    text: str = processor.id_to_piece(token)
    if processor.is_byte(token):
        return bytes([int(text[3:5], 16)])  # <0x0A>
    return text.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _read(image: Pictures) -> list[RGB]:
    """(H, W, 3) uint8 of one image, or of each frame of a clip."""
    if isinstance(image, list | tuple):
        return [rgb for each in image for rgb in _read(each)]
    if isinstance(image, Frame):
        return [image.rgb]
    if isinstance(image, str | os.PathLike):
        return [read_rgb(Path(image))]
    return [np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)]
