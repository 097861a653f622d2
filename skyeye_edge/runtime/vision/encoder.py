"""What the engine needs of a vision encoder, whatever computes it."""

from __future__ import annotations

from typing import Protocol

from skyeye_edge.core.preprocess import Pixels, VisualTokens


class VisionEncoder(Protocol):
    """Pixels to visual tokens; used by one thread at a time."""

    backend: str  # what computes, e.g. "onnxruntime-cpu"
    max_batch: int  # images that are worth one call, and may share one: 1 where they would differ

    def encode(self, pixels: Pixels) -> VisualTokens:
        """(B, 3, S, S) float32 to (B, N, d) float32, in the same order."""

    def close(self) -> None:
        """Free everything. Closing twice is fine."""
