"""Throw-away heads: they teach the encoder what and where before words do, and beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skyeye_edge.training.model.alignment import JOINED
from skyeye_edge.training.model.eva import EvaBlock, EvaConfig
from skyeye_edge.training.pretrain.data import Targets

BOX_VALUES = 8  # four corners in the image, four distances from the cell's centre
SMOOTHING = 0.1  # of scene classes, among those of the own set


class Places(nn.Module):
    """Per cell of a grid: label of the object there, and its box."""

    def __init__(self, width: int, labels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.label = nn.Linear(width, labels + 1)  # the last one: nothing there
        self.box = nn.Linear(width, BOX_VALUES)
        down, across = torch.meshgrid(
            (torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns,
            indexing="ij",
        )  # fmt: skip
        self.register_buffer("centres", torch.stack([across, down] * 2, dim=-1).view(-1, 4))

    def forward(self, cells: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, width) to logits (B, C, labels + 1) and two guesses of the box (B, C, 4) in 0..1.

        The one guess is the corners themselves, the other the cell's centre plus distances.
        """
        box = self.box(cells).float()
        centres = self.centres if kept is None else self.centres[kept]
        return self.label(cells).float(), box[..., :4], box[..., 4:] + centres

    def losses(
        self, cells: Tensor, label: Tensor, box: Tensor, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Of label and box; the label's is balanced between objects and ground.

        Args:
            cells: (B, C, width) features.
            label: (B, G) of all cells, -1 nothing and -2 unknown.
            box: (B, G, 4) of all cells, in 0..1.
            kept: (B, C) which cells the features are of; all of them without it.
        """
        if kept is not None:
            label = label.gather(1, kept)
            box = box.gather(1, kept.unsqueeze(-1).expand(-1, -1, 4))
        logits, corners, distances = self(cells, kept)
        nothing = self.label.out_features - 1
        target = torch.where(label < 0, nothing, label)
        each = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        each = each.view(label.shape)
        thing, empty = label >= 0, label == -1
        off = F.smooth_l1_loss(corners, box, beta=0.05, reduction="none")
        off = off + F.smooth_l1_loss(distances, box, beta=0.05, reduction="none")
        balanced = 0.5 * (_mean(each, thing) + _mean(each, empty))
        return balanced, 10 * _mean(off.mean(dim=-1), thing)


class MaskedPatches(nn.Module):
    """The pixels of patches that were not looked at, from those that were.

    Source: masked autoencoders (arXiv 2111.06377, 3), with one light block as decoder.
    """

    def __init__(self, tower: EvaConfig) -> None:
        super().__init__()
        self.patch = tower.patch
        self.places = nn.Parameter(0.02 * torch.randn(1, tower.grid**2, tower.width))
        self.unseen = nn.Parameter(torch.zeros(1, 1, tower.width))
        self.block = EvaBlock(tower, 0.0)
        self.pixels = nn.Linear(tower.width, 3 * tower.patch**2)

    def loss(self, patches: Tensor, pixels: Tensor, kept: Tensor) -> Tensor:
        """Mean square error of unseen patches, each at mean 0 and deviation 1.

        Args:
            patches: (B, K, width) features of what was looked at.
            pixels: (B, 3, S, S) normalised.
            kept: (B, K) which patches were looked at.
        """
        batch, width = len(patches), patches.shape[-1]
        filled = self.unseen.expand(batch, self.places.shape[1], width)
        filled = filled.scatter(1, kept.unsqueeze(-1).expand(-1, -1, width), patches.float())
        guess = self.pixels(self.block(filled + self.places)).float()
        wanted = F.unfold(pixels, self.patch, stride=self.patch).transpose(1, 2)
        spread = wanted.std(dim=-1, keepdim=True)
        wanted = (wanted - wanted.mean(dim=-1, keepdim=True)) / (spread + 1e-3)
        unseen = torch.ones(guess.shape[:2], device=guess.device).scatter(1, kept, 0.0)
        return _mean((guess - wanted).square().mean(dim=-1), unseen)


class Heads(nn.Module):
    """Scene class, caption words, objects per patch and visual token; perhaps masked patches."""

    def __init__(
        self,
        width: int,
        token_width: int,
        targets: Targets,
        grid: int,
        masked: EvaConfig | None = None,
    ) -> None:
        super().__init__()
        self.masked = MaskedPatches(masked) if masked else None
        self.scene = nn.Linear(width, max(1, len(targets.scenes)))
        self.words = nn.Linear(width, max(1, len(targets.words)))
        self.dense = Places(width, len(targets.labels), grid, grid)
        self.token = Places(token_width, len(targets.labels), grid, grid // JOINED)
        sets = [name.split("/")[0] for name in targets.scenes] or [""]
        self.register_buffer("set_of", torch.tensor([sorted(set(sets)).index(s) for s in sets]))
        self.has_words = bool(targets.words)

    def losses(
        self, patches: Tensor, batch: dict[str, Tensor], kept: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Mean losses on patch features; a kind that the batch has no targets for is 0.

        Args:
            patches: (B, P, width) patch features.
            batch: `scene` (B,) with -1 where unknown, `words` (B, W) shares of captions where
                `told` (B,), `dense_label` (B, G), `dense_box` (B, G, 4).
            kept: (B, P) which patches they are; all of them without it.
        """
        pooled = patches.mean(dim=1)
        label, box = self.dense.losses(patches, batch["dense_label"], batch["dense_box"], kept)
        losses = {"scene": self._scene(pooled, batch["scene"]), "label": label, "box": box}
        if self.has_words:
            words = F.binary_cross_entropy_with_logits(
                self.words(pooled).float(), batch["words"], reduction="none"
            ).sum(dim=1)
            losses["words"] = _mean(words, batch["told"]) / 15
        return losses

    def _scene(self, pooled: Tensor, scene: Tensor) -> Tensor:
        """Cross-entropy among the classes of the own set."""
        target = scene.clamp(min=0)
        own = self.set_of[target][:, None] == self.set_of[None]
        scores = F.log_softmax(self.scene(pooled).float().masked_fill(~own, -1e4), dim=-1)
        right = -scores.gather(1, target[:, None])[:, 0]
        spread = -(scores * own).sum(dim=1) / own.sum(dim=1)
        return _mean((1 - SMOOTHING) * right + SMOOTHING * spread, scene >= 0)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
