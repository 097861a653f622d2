"""The two phases: encoder with throw-away heads, then everything on answers."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyeye_edge.training.data.collate import IGNORED
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.data import Views
from skyeye_edge.training.pretrain.heads import Heads

log = logging.getLogger(__name__)

WARM_UP = 50  # optimiser steps
AUXILIARY = 0.4  # weight of the throw-away heads once answers are learnt
NOTE_EVERY = 30.0  # seconds between lines of the log
PLACE_SPREAD = 1.0  # bins: standard deviation of the target around the true edge


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training; its length is in minutes of work, the scarce thing on two cores."""

    name: str
    minutes: float
    questions: bool  # False: encoder and throw-away heads only
    shares: tuple[float, float, float]  # captioned, boxed, synthetic images
    matrices: float  # peak learning rate of Muon
    vectors: float  # peak learning rate of AdamW
    last: float = 0.0  # the cosine ends at this share of the peak


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with the weights."""

    phase: int = 0
    minutes: float = 0.0  # worked in this phase
    step: int = 0  # in all


def build_optimisers(model: SkyEyeModel, heads: Heads) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices, AdamW for embeddings, heads, filters and vectors."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = list(heads.parameters())
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if hidden else vectors).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=1.0, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(vectors, lr=1.0, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def answer_loss(
    model: SkyEyeModel, patches: Tensor, batch: dict[str, Tensor], spread: Tensor, places: Tensor
) -> Tensor:
    """Weighted next-token loss on answers; box edges forgive their neighbours.

    Args:
        patches: (B, P, width) patch features.
        batch: `stack`'s tensors.
        spread: (V, bins + 1) target distribution over the edge tokens; zero rows for other tokens.
        places: (bins + 1,) ids of the edge tokens.
    """
    embedded = model.embed(batch["ids"], model.aligner(patches))
    decoder = model.language_model.model
    hidden = decoder(
        inputs_embeds=embedded,
        attention_mask=batch["mask"].to(embedded.dtype),
        position_ids=batch["positions"],
        use_cache=False,
    ).last_hidden_state
    learnt = batch["labels"] != IGNORED
    logits = model.language_model.lm_head(hidden[learnt]).float()
    labels, weights = batch["labels"][learnt], batch["weights"][learnt]
    scores = F.log_softmax(logits, dim=-1)
    exact = F.nll_loss(scores, labels, reduction="none")
    soft = -(scores[:, places] * spread[labels]).sum(dim=-1)
    loss = torch.where(spread[labels].sum(dim=-1) > 0, soft, exact)
    return (loss * weights).sum() / weights.sum().clamp(min=1e-6)


def place_spread(vocabulary: int, places: Sequence[int]) -> Tensor:
    """(V, bins + 1): for each edge token a narrow bell around its number."""
    number = torch.arange(len(places))
    bell = torch.exp(-((number[:, None] - number[None]) ** 2) / (2 * PLACE_SPREAD**2))
    table = torch.zeros(vocabulary, len(places))
    table[torch.tensor(places)] = bell / bell.sum(dim=1, keepdim=True)
    return table


def pretrain(
    model: SkyEyeModel,
    heads: Heads,
    phases: Sequence[Phase],
    views: Callable[[Phase, int], Views],
    run: Path,
    places: Sequence[int],
    *,
    save_every: float = 4.0,
) -> None:
    """Work through the phases; goes on where `run/state.pt` stands.

    Writes `run/log.jsonl` and, every `save_every` minutes, `run/state.pt`; at the end of each phase
    and every fifth save the float16 checkpoint `run/checkpoint`.
    """
    optimisers = build_optimisers(model, heads)
    progress = _resume(run, model, heads, optimisers)
    spread = place_spread(model.language_model.config.vocab_size, places)
    place_ids = torch.tensor(places)
    while progress.phase < len(phases):
        phase = phases[progress.phase]
        model.train()
        model.language_model.requires_grad_(phase.questions)
        batches = iter(_loader(views(phase, progress.step)))
        sums: dict[str, float] = {}
        began, saved, shown, first = (
            time.monotonic(),
            progress.minutes,
            time.monotonic(),
            progress.step,
        )
        already = progress.minutes
        while progress.minutes < phase.minutes:
            _set_rates(optimisers, phase, progress)
            batch = next(batches)
            with torch.autocast("cpu", torch.bfloat16):
                patches = model.patch_features(batch["pixels"])
                losses = heads.losses(patches, batch)
                if phase.questions:
                    losses = {name: AUXILIARY * loss for name, loss in losses.items()}
                    losses["answers"] = answer_loss(model, patches, batch, spread, place_ids)
            total = torch.stack(list(losses.values())).sum()
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_([*model.parameters(), *heads.parameters()], 1.0)
            for optimiser in optimisers:
                optimiser.step()
            progress.step += 1
            progress.minutes = already + (time.monotonic() - began) / 60
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach())
            if time.monotonic() - shown > NOTE_EVERY:
                steps = progress.step - first
                rate = steps * len(batch["pixels"]) / (time.monotonic() - shown)
                _note(run, phase, progress, {k: v / steps for k, v in sums.items()}, rate)
                sums, shown, first = {}, time.monotonic(), progress.step
            if progress.minutes - saved > save_every:
                saved = progress.minutes
                _save(run, model, heads, optimisers, progress)
        progress = Progress(progress.phase + 1, 0.0, progress.step)
        _save(run, model, heads, optimisers, progress)
    model.eval()


def _loader(views: Views) -> Iterator[dict[str, Tensor]]:
    return iter(DataLoader(views, batch_size=None, num_workers=1, prefetch_factor=4))


def _set_rates(
    optimisers: Sequence[torch.optim.Optimizer], phase: Phase, progress: Progress
) -> None:
    done = min(1.0, progress.minutes / phase.minutes)
    cosine = phase.last + (1 - phase.last) * 0.5 * (1 + math.cos(math.pi * done))
    factor = min(1.0, (progress.step + 1) / WARM_UP) * cosine
    for optimiser, peak in zip(optimisers, (phase.matrices, phase.vectors), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = peak * factor


def _note(
    run: Path, phase: Phase, progress: Progress, losses: dict[str, float], rate: float
) -> None:
    entry = {"phase": phase.name, **asdict(progress), "images_per_second": round(rate, 1)}
    entry |= {name: round(value, 4) for name, value in losses.items()}
    with (run / "log.jsonl").open("a", encoding="utf-8") as sink:
        sink.write(json.dumps(entry) + "\n")
    log.info("%s", entry)


def _save(
    run: Path,
    model: SkyEyeModel,
    heads: Heads,
    optimisers: Sequence[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "heads": heads.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "progress": asdict(progress),
    }
    torch.save(state, run / "state.pt.new")
    (run / "state.pt.new").rename(run / "state.pt")


def _resume(
    run: Path, model: SkyEyeModel, heads: Heads, optimisers: Sequence[torch.optim.Optimizer]
) -> Progress:
    path = run / "state.pt"
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    heads.load_state_dict(state["heads"], strict=False)
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return Progress(**state["progress"])
