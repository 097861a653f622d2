"""From patch features to visual tokens: four neighbours side by side, then one linear layer."""

from __future__ import annotations

from torch import Tensor, nn

JOINED = 4  # neighbouring patches of one row that make one visual token (MiniGPT-v2)


class Aligner(nn.Module):
    """Concatenation of 1x4 patches and `llama_proj`."""

    def __init__(self, vision_width: int, language_width: int) -> None:
        super().__init__()
        self.llama_proj = nn.Linear(JOINED * vision_width, language_width)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, P, vision width) without class token to (B, P / 4, language width).

        A plain reshape of the row-major patches: the grid's width is a multiple of 4, so a group
        never crosses a row.
        """
        batch, count, width = patches.shape
        return self.llama_proj(patches.reshape(batch, count // JOINED, JOINED * width))
