"""The phases: encoder with throw-away heads, then everything on answers."""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from skyeye_edge.core.errors import InputError
from skyeye_edge.training.data.collate import IGNORED
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.pretrain.data import Batches
from skyeye_edge.training.pretrain.heads import Heads

log = logging.getLogger(__name__)

# What is learnt: answers of the decoder, throw-away heads on patches and on visual tokens, and the
# pixels of patches that are not looked at.
Objective = Literal["answers", "heads", "tokens", "masked"]
AVERAGED = 0.999  # share of the old in the moving average of the weights, per step
NOTE_EVERY = 30.0  # seconds between lines of the log
PLACE_SPREAD = 1.0  # bins: standard deviation of the target around the true edge


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training."""

    name: str
    images: int  # how many are seen
    objectives: Mapping[Objective, float]  # what is learnt, and the weight of its loss
    shares: Mapping[str, float]  # how often each kind of picture is drawn (data.Batches)
    matrices: float  # peak learning rate of Muon
    vectors: float  # peak learning rate of AdamW
    first: float = 1.0  # share of the peak at the beginning of the cosine
    last: float = 1.0  # and at its end
    warm_up: int = 3200  # images
    dropped: float = 0.0  # share of patches that are not looked at

    def __post_init__(self) -> None:
        if not self.objectives or min(self.objectives.values()) <= 0:
            raise InputError(f"phase {self.name}: objectives have weights above 0")
        if self.dropped and not self.objectives.keys() <= {"heads", "masked"}:
            raise InputError(f"phase {self.name}: only for heads and masked can patches be dropped")
        if "masked" in self.objectives and not 0 < self.dropped < 1:
            raise InputError(f"phase {self.name}: masked: say which share of patches is dropped")


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with the weights."""

    phase: int = 0
    images: int = 0  # seen in this phase
    step: int = 0  # in all


@dataclass(slots=True)
class State:
    """All that a run carries on."""

    model: SkyEyeModel
    heads: Heads
    optimisers: list[torch.optim.Optimizer]
    average: dict[str, Tensor]  # moving average of the model's weights
    progress: Progress


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
    model: SkyEyeModel, tokens: Tensor, batch: dict[str, Tensor], spread: Tensor, places: Tensor
) -> Tensor:
    """Weighted next-token loss on answers; box edges forgive their neighbours.

    Args:
        tokens: (B, N, d) visual tokens.
        batch: `stack`'s tensors.
        spread: (V, bins + 1) target distribution over the edge tokens; zero rows for other tokens.
        places: (bins + 1,) ids of the edge tokens.
    """
    embedded = model.embed(batch["ids"], tokens)
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
    batches: Callable[[Phase], Batches],
    run: Path,
    places: Sequence[int],
    *,
    seed: int,
    workers: int = 1,
    save_every: float = 4.0,
) -> None:
    """Work through the phases; goes on where `run/state.pt` stands.

    The model ends as the moving average of its weights. A run that was stopped and goes on gives
    the losses and weights of one that was not. Writes `run/log.jsonl` and, every `save_every`
    minutes, after each phase and when it is interrupted, `run/state.pt`.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the step was finished and the state saved.
        RuntimeError: the loss is not finite; the last good state is kept.
    """
    device = next(model.parameters()).device
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = State(model, heads, build_optimisers(model, heads), average, Progress())
    _resume(run, state)
    spread = place_spread(model.language_model.config.vocab_size, places).to(device)
    place_ids = torch.tensor(places, device=device)
    with _asked_to_stop() as is_asked:
        while state.progress.phase < len(phases):
            phase = phases[state.progress.phase]
            data = batches(phase)
            model.train()
            notes = Notes(run, phase)
            saved = time.monotonic()
            for batch in _loader(data, phase, state.progress, workers):
                batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
                torch.manual_seed(seed * 1_000_003 + state.progress.step)
                losses = _losses(state, phase, batch, spread, place_ids)
                _update(state, phase, losses)
                state.progress.images += data.batch
                state.progress.step += 1
                notes.add(losses, data.batch, state.progress)
                if is_asked() or time.monotonic() - saved > 60 * save_every:
                    _save(run, state)
                    saved = time.monotonic()
                if is_asked():
                    raise KeyboardInterrupt
            state.progress = Progress(state.progress.phase + 1, 0, state.progress.step)
            _save(run, state)
    model.load_state_dict(state.average)
    model.eval()


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Inside the block Ctrl-C and SIGTERM only ask; whoever works looks at its next good moment."""
    asked: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, frame: asked.append(number)) for each in signals]
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group of processes


def _loader(
    data: Batches, phase: Phase, progress: Progress, workers: int
) -> Iterator[dict[str, Tensor]]:
    """The batches of a phase that are still to come; a batch's number counts within the phase."""
    numbers = range(progress.images // data.batch, math.ceil(phase.images / data.batch))
    return iter(
        DataLoader(
            data, batch_size=None, sampler=numbers, num_workers=workers,
            prefetch_factor=4 if workers else None, worker_init_fn=_ignore_interrupts,
        )
    )  # fmt: skip


def _losses(
    state: State, phase: Phase, batch: dict[str, Tensor], spread: Tensor, places: Tensor
) -> dict[str, Tensor]:
    model, heads = state.model, state.heads
    pixels = batch["pixels"]
    with torch.autocast(pixels.device.type, torch.bfloat16):
        kept = _kept(pixels, model.vision.config.grid**2, phase.dropped)
        patches = model.patch_features(pixels, kept)
        losses: dict[str, Tensor] = {}
        weights = phase.objectives
        if weight := weights.get("heads"):
            told = heads.losses(patches, batch, kept)
            losses |= {name: weight * loss for name, loss in told.items()}
        if heads.masked and kept is not None and (weight := weights.get("masked")):
            losses["masked"] = weight * heads.masked.loss(patches, pixels, kept)
        if weights.keys() & {"tokens", "answers"}:
            tokens = model.aligner(patches)
        if weight := weights.get("tokens"):
            label, box = heads.token.losses(tokens, batch["token_label"], batch["token_box"])
            losses["token"] = weight * (label + box)
        if weight := weights.get("answers"):
            losses["answers"] = weight * answer_loss(model, tokens, batch, spread, places)
    return losses


def _kept(pixels: Tensor, patches: int, dropped: float) -> Tensor | None:
    """(B, K) numbers of the patches that are looked at; None: all."""
    if dropped == 0.0:
        return None
    number = round(patches * (1 - dropped))
    return torch.rand(len(pixels), patches, device=pixels.device).argsort(dim=1)[:, :number]


def _update(state: State, phase: Phase, losses: dict[str, Tensor]) -> None:
    total = torch.stack(list(losses.values())).sum()
    if not bool(total.isfinite()):
        raise RuntimeError(
            f"step {state.progress.step}: the loss is {float(total.detach())}; the state that was "
            "saved last is kept, a lower learning rate goes on from there"
        )
    _set_rates(state.optimisers, phase, state.progress)
    for optimiser in state.optimisers:
        optimiser.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_([*state.model.parameters(), *state.heads.parameters()], 1.0)
    for optimiser in state.optimisers:
        optimiser.step()
    # Young averages follow quickly, or they would remember the random beginning for long.
    keep = min(AVERAGED, (1 + state.progress.step) / (10 + state.progress.step))
    with torch.no_grad():
        new = state.model.state_dict()
        torch._foreach_lerp_(
            list(state.average.values()), [new[k] for k in state.average], 1 - keep
        )


def _set_rates(
    optimisers: Sequence[torch.optim.Optimizer], phase: Phase, progress: Progress
) -> None:
    done = min(1.0, progress.images / phase.images)
    cosine = phase.last + (phase.first - phase.last) * 0.5 * (1 + math.cos(math.pi * done))
    factor = min(1.0, (progress.images + 1) / max(1, phase.warm_up)) * cosine
    for optimiser, peak in zip(optimisers, (phase.matrices, phase.vectors), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = peak * factor


class Notes:
    """Mean losses since the last line of `run/log.jsonl`."""

    def __init__(self, run: Path, phase: Phase) -> None:
        self.path, self.phase = run / "log.jsonl", phase
        self._clear()

    def _clear(self) -> None:
        self.sums: dict[str, float] = {}
        self.steps, self.images, self.since = 0, 0, time.monotonic()

    def add(self, losses: dict[str, Tensor], images: int, progress: Progress) -> None:
        """Count a step; write a line every NOTE_EVERY seconds."""
        for name, loss in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(loss.detach())
        self.steps += 1
        self.images += images
        spent = time.monotonic() - self.since
        if spent <= NOTE_EVERY:
            return
        entry: dict[str, Any] = {"phase": self.phase.name, **asdict(progress)}
        entry["images_per_second"] = round(self.images / spent, 1)
        entry |= {name: round(value / self.steps, 4) for name, value in self.sums.items()}
        with self.path.open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(entry) + "\n")
        log.info("%s", entry)
        self._clear()


def _save(run: Path, state: State) -> None:
    values: dict[str, Any] = {
        "model": state.model.state_dict(),
        "average": state.average,
        "heads": state.heads.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in state.optimisers],
        "progress": asdict(state.progress),
    }
    torch.save(values, run / "state.pt.new")
    (run / "state.pt.new").rename(run / "state.pt")


def _resume(run: Path, state: State) -> None:
    path = run / "state.pt"
    if not path.exists():
        return
    values = torch.load(path, weights_only=True, map_location=next(state.model.parameters()).device)
    state.model.load_state_dict(values["model"])
    state.average = values["average"]
    state.heads.load_state_dict(values["heads"])
    for optimiser, saved in zip(state.optimisers, values["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    state.progress = Progress(**values["progress"])
