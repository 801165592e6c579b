"""Images with a mask each, held as bytes and given as class numbers."""

from __future__ import annotations

import numpy as np

from orchestrator import ArraySamples

__all__ = ["MaskSamples"]


class MaskSamples(ArraySamples):
    """`pixels` uint8 (N, C, H, W) and `targets` uint8 (N, H, W), where 255 is to be ignored."""

    def read(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks as int64 (B, H, W); nothing is random."""
        pixels, masks = super().read(indices, rng)
        return pixels, masks.astype(np.int64)
