"""Records to batches: the runtime's own prompt, tokenised, with labels on answers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from torch import Tensor

from skyeye_edge.core.preprocess import Pixels, preprocess
from skyeye_edge.core.prompt import Control, ImageSlot, Segment, Text, build_prompt, text_ids
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.data.record import Record, read_rgb, sizes_of

IMAGE = -200  # stands at every position of a visual token in `input_ids`
IGNORED = -100  # a label that is not learnt


class Tokenizer:
    """sentencepiece itself; Hugging Face's class splits some texts differently."""

    def __init__(self, path: Path) -> None:
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.controls = {
            "bos": int(self.processor.bos_id()),
            "end": int(self.processor.eos_id()),
            "unk": int(self.processor.unk_id()),
        }

    def encode(self, text: str) -> list[int]:
        """Ids of a text on its own; no control token can come out of it."""
        ids: list[int] = self.processor.encode(text)
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One tokenised record."""

    ids: list[int]  # IMAGE at every position of a visual token
    labels: list[int]  # IGNORED where nothing is learnt; not shifted
    pixels: Pixels  # (frames, 3, S, S)


def tokenise(
    segments: Sequence[Segment], tokenizer: Tokenizer, visual_tokens: int
) -> tuple[list[int], list[int]]:
    """Ids and labels of a prompt built with `learn=True`.

    In the infer form no end token stands between an answer and the next `<s>`; the label there is
    the end token all the same, because that is what must be generated.
    """
    ids: list[int] = []
    labels: list[int] = []
    end = tokenizer.controls["end"]
    open_answer = False  # an answer whose end token is still owed
    for segment in segments:
        match segment:
            case ImageSlot():
                found, learn = [IMAGE] * visual_tokens, False
            case Control(token=token, answer=learn):
                found = [tokenizer.controls[token]]
            case Text(answer=learn):
                found = text_ids(segment, tokenizer.encode)
        new = list(found) if learn else [IGNORED] * len(found)
        if open_answer and not learn:
            new[0] = end
        open_answer = learn and isinstance(segment, Text)
        ids += found
        labels += new
    if open_answer:
        ids.append(end)
        labels.append(end)
    return ids, labels


def build_sample(record: Record, spec: ModelSpec, tokenizer: Tokenizer, limit: int) -> Sample:
    """A record as ids, labels and pixels; cut at the end after `limit` positions."""
    images = [read_rgb(image) for image in record.images]
    sizes = sizes_of(images)
    size = sizes[0] if sizes else (1, 1)
    turns = [turn.written(size, spec.boxes) for turn in record.turns]
    segments = build_prompt(turns, sizes, spec, learn=True)
    ids, labels = tokenise(segments, tokenizer, spec.vision.tokens)
    side = spec.vision.image_size
    pixels = [preprocess(image, spec.vision) for image in images]
    joined = np.concatenate(pixels) if pixels else np.zeros((0, 3, side, side), np.float32)
    return Sample(ids[:limit], labels[:limit], joined)


def collate(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Samples to `pixel_values` (F, 3, S, S) and `input_ids`, `labels`, `attention_mask` (B, L).

    Padding is on the right, with id 0 and mask 0.
    """
    length = max(len(sample.ids) for sample in samples)

    def padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
        return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])

    return {
        "pixel_values": torch.from_numpy(np.concatenate([sample.pixels for sample in samples])),
        "input_ids": padded([sample.ids for sample in samples], 0),
        "labels": padded([sample.labels for sample in samples], IGNORED),
        "attention_mask": padded([[1] * len(sample.ids) for sample in samples], 0),
    }
