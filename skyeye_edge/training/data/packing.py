"""Several questions about one image in one row; the questions do not see each other.

Each question keeps the positions it would have alone, so what is learnt is what the runtime asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skyeye_edge.core.boxes import Size
from skyeye_edge.core.prompt import ImageSlot, build_prompt
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.training.data.collate import IGNORED, Tokenizer, tokenise
from skyeye_edge.training.data.record import Turn


@dataclass(frozen=True, slots=True)
class Row:
    """One image's questions; lists of equal length."""

    ids: list[int]
    labels: list[int]  # already shifted: what the next token of the same question is
    weights: list[float]
    positions: list[int]
    question: list[int]  # 0: shared by all; 1, 2, ...: belongs to that question


def pack(
    turns: Sequence[tuple[Turn, float]],
    size: Size,
    spec: ModelSpec,
    tokenizer: Tokenizer,
    limit: int,
) -> Row:
    """Weighted turns to one row of at most `limit` positions; what does not fit is left out.

    A weight is shared among the tokens of its answer.
    """
    row = Row([], [], [], [], [])
    for number, (turn, weight) in enumerate(turns, start=1):
        segments = build_prompt([turn.written(size, spec.boxes)], [size], spec, learn=True)
        after = next(i for i, s in enumerate(segments) if isinstance(s, ImageSlot)) + 1
        shared, _ = tokenise(segments[:after], tokenizer, spec.vision.tokens)
        if not row.ids:
            row.ids.extend(shared)
            row.labels.extend([IGNORED] * len(shared))
            row.weights.extend([0.0] * len(shared))
            row.positions.extend(range(len(shared)))
            row.question.extend([0] * len(shared))
        ids, labels = tokenise(segments[after:], tokenizer, spec.vision.tokens)
        ids, shifted = ids[:-1], labels[1:]  # nothing follows the end token
        if len(row.ids) + len(ids) > limit:
            continue
        learnt = sum(label != IGNORED for label in shifted)
        row.ids.extend(ids)
        row.labels.extend(shifted)
        row.weights.extend(weight / learnt if label != IGNORED else 0.0 for label in shifted)
        row.positions.extend(range(len(shared), len(shared) + len(ids)))
        row.question.extend([number] * len(ids))
    return row


def stack(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Rows to (B, L) tensors, and `mask` (B, 1, L, L): 0 where seen, else very low."""
    length = max(len(row.ids) for row in rows)

    def padded(values: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
        table = np.full((len(values), length), fill)
        for line, row in zip(table, values, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(table).to(dtype)

    question = padded([row.question for row in rows], -1, torch.long)
    same = question[:, :, None] == question[:, None, :]
    seen = (same | (question[:, None, :] == 0)) & torch.ones(
        length, length, dtype=torch.bool
    ).tril()
    seen |= torch.eye(length, dtype=torch.bool)  # padding sees itself, or softmax gives NaN
    mask = torch.zeros(seen.shape).masked_fill(~seen, -1e9)[:, None]
    return {
        "ids": padded([row.ids for row in rows], 0, torch.long),
        "labels": padded([row.labels for row in rows], IGNORED, torch.long),
        "weights": padded([row.weights for row in rows], 0.0, torch.float32),
        "positions": padded([row.positions for row in rows], 0, torch.long),
        "mask": mask,
    }
