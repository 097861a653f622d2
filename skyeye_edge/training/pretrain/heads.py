"""Throw-away heads on the patch features: they teach the encoder what and where before words do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skyeye_edge.training.pretrain.data import Targets

BOX_VALUES = 8  # four corners in the image, four distances from the patch's centre


class Heads(nn.Module):
    """Scene class, caption words, and per patch: label of the object and its box."""

    def __init__(self, width: int, targets: Targets, grid: int) -> None:
        super().__init__()
        self.scene = nn.Linear(width, len(targets.scenes))
        self.words = nn.Linear(width, len(targets.words))
        self.label = nn.Linear(width, len(targets.labels) + 1)  # the last one: nothing there
        self.box = nn.Linear(width, BOX_VALUES)
        centres = (torch.arange(grid) + 0.5) / grid
        down, across = torch.meshgrid(centres, centres, indexing="ij")
        self.register_buffer("centres", torch.stack([across, down] * 2, dim=-1).view(-1, 4))

    def losses(self, patches: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean losses; a kind that the batch has no targets for is 0.

        Args:
            patches: (B, P, width) patch features.
            batch: `scene` (B,) with -1 where unknown, `words` (B, W) shares of captions,
                `dense_label` (B, P) with -1 nothing and -2 unknown, `dense_box` (B, P, 4) in 0..1.
        """
        losses = self._dense(patches, batch)
        if self.scene.out_features == 0:  # no captioned images in this recipe
            return losses
        pooled = patches.mean(dim=1)
        known = batch["scene"] >= 0
        scene = _mean(
            F.cross_entropy(
                self.scene(pooled).float(),
                batch["scene"].clamp(min=0),
                label_smoothing=0.1,
                reduction="none",
            ),
            known,
        )
        words = F.binary_cross_entropy_with_logits(
            self.words(pooled).float(), batch["words"], reduction="none"
        ).sum(dim=1)
        return {"scene": scene, "words": _mean(words, known) / 15, **losses}

    def _dense(self, patches: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        label = batch["dense_label"]
        nothing = self.label.out_features - 1
        target = torch.where(label < 0, nothing, label)
        each = F.cross_entropy(
            self.label(patches).float().flatten(0, 1), target.flatten(), reduction="none"
        )
        each = each.view(label.shape)
        thing, empty = label >= 0, label == -1
        box = self.box(patches).float()
        corners, distances = box[..., :4], box[..., 4:] + self.centres
        off = F.smooth_l1_loss(corners, batch["dense_box"], beta=0.05, reduction="none")
        off = off + F.smooth_l1_loss(distances, batch["dense_box"], beta=0.05, reduction="none")
        return {
            "label": 0.5 * (_mean(each, thing) + _mean(each, empty)),
            "box": 10 * _mean(off.mean(dim=-1), thing),
        }


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
