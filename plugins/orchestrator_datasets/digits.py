"""Handwritten digits that scikit-learn brings along, so that everything runs without a download.

Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository: 8×8 images with 17 grey levels, 43 writers.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from orchestrator import ArraySamples, Dataset
from orchestrator.errors import ConfigError
from orchestrator_datasets.splitting import stratified

__all__ = ["Digits"]

_VALIDATION_SHARE = 0.2
_TEST_SHARE = 0.2
_BRIGHTEST = 16


# Beyond it enlarged digits are memory that says nothing.
_LARGEST = 512


class Digits(Dataset):
    """1,797 images of ten classes, enlarged; 60 % train, 20 % validation, 20 % test.

    Cost: some tens of milliseconds and 1,797 × channels × image_size² bytes in each process.
    """

    name = "digits"
    mirror = False
    licence = (
        "CC BY 4.0. E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, doi 10.24432/C50P49; as distributed with scikit-learn."
    )

    def __init__(
        self, *, image_size: int = 32, in_channels: Literal[1, 3] = 1, seed: int = 0
    ) -> None:
        if not 8 <= image_size <= _LARGEST:
            raise ConfigError(f"dataset.image_size: found {image_size}, expected 8 to {_LARGEST}.")
        self.classes = tuple("0123456789")
        self.image_size = image_size
        self.in_channels = in_channels
        self.seed = seed
        self._splits: dict[str, ArraySamples] | None = None
        train = self.split("train").pixels / 255
        self.mean = (float(train.mean()),) * in_channels
        self.deviation = (float(train.std()),) * in_channels

    def split(self, name: Literal["train", "validation", "test"]) -> ArraySamples:
        """The images of one split."""
        if self._splits is None:
            self._splits = self._load()
        return self._splits[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_splits": None}

    def _load(self) -> dict[str, ArraySamples]:
        from sklearn.datasets import load_digits

        raw = load_digits()
        labels = raw.target.astype(np.int64)
        pixels = _enlarged(raw.images, self.image_size)
        # (N, 1, H, W) → (N, C, H, W)
        pixels = np.repeat(pixels[:, None], self.in_channels, axis=1)
        members = [np.flatnonzero(labels == label) for label in range(len(self.classes))]
        parts = stratified(
            [len(indices) for indices in members],
            (_VALIDATION_SHARE, _TEST_SHARE),
            self.seed,
            self.classes,
        )
        splits = {}
        for name, part in zip(("validation", "test", "train"), parts, strict=True):
            chosen = np.sort(np.concatenate([m[i] for m, i in zip(members, part, strict=True)]))
            splits[name] = ArraySamples(pixels[chosen], labels[chosen])
        return splits


def _enlarged(images: np.ndarray, size: int) -> np.ndarray:
    """Levels 0…16 of (N, 8, 8) as bytes of (N, size, size), bilinear."""
    import torch
    from torch.nn import functional

    levels = torch.from_numpy(images.astype(np.float32))[:, None]
    large = functional.interpolate(levels, size=(size, size), mode="bilinear", align_corners=False)
    pixels: np.ndarray = (large[:, 0] * (255 / _BRIGHTEST)).round().to(torch.uint8).numpy()
    return pixels
