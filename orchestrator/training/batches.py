"""Batches of a dataset as networks see them: normalised, and augmented for training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from orchestrator.config import TrainConfig
from orchestrator.contracts import Dataset, Split
from orchestrator.errors import DataError
from orchestrator.training import augmentation

__all__ = ["Batches", "Source", "scaled_side"]

_GPU_RESIDENT_BYTES = 4 * 2**30


class Source:
    """A split's images by index, each batch normalised on the device that trains."""

    def __init__(self, dataset: Dataset, split: Split, device: torch.device) -> None:
        images = dataset.split(split)
        if not len(images):
            raise DataError(f"the {split} split of {dataset.name} is empty, expected images.")
        self.device = device
        # A plain view: indexing numpy's memmap class itself is several times slower.
        self._pixels = np.asarray(images.pixels)
        self._labels = np.asarray(images.labels)
        self._resident: Tensor | None = None
        if device.type != "cpu" and self._pixels.nbytes <= _GPU_RESIDENT_BYTES:
            self._resident = torch.from_numpy(self._pixels.copy()).to(device)
        self._facts = dataset.facts

    def __len__(self) -> int:
        return len(self._labels)

    def slice(self, start: int, stop: int) -> Tensor:
        """Pixels uint8 (B, C, H, W) in order."""
        return self.pixels(np.arange(start, min(stop, len(self))))

    def pixels(self, indices: np.ndarray) -> Tensor:
        """Pixels uint8 (B, C, H, W)."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(indices).to(self.device)]
        return torch.from_numpy(self._pixels[indices]).to(self.device)

    def labels(self, indices: np.ndarray) -> Tensor:
        """Labels int64 (B,)."""
        return torch.from_numpy(self._labels[indices].astype(np.int64)).to(self.device)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images float32 (B, C, H, W), channels last in memory."""
        return self._facts.normalise(pixels.contiguous(memory_format=torch.channels_last))


class Batches:
    """The training split in random order, augmented as configured; its own random numbers."""

    def __init__(
        self, dataset: Dataset, config: TrainConfig, *, device: torch.device, seed: int
    ) -> None:
        self.config = config
        self._source = Source(dataset, "train", device)
        self._classes = len(dataset.classes)
        self._mirror = dataset.mirror if config.mirror == "auto" else config.mirror == "on"
        self._rng = np.random.default_rng(seed)

    def order(self) -> Iterator[np.ndarray]:
        """Every image once, in batches of almost equal size.

        Equal sizes rather than a small rest: a single image has no batch statistics.
        """
        order = self._rng.permutation(len(self._source))
        count = min(round(len(order) / self.config.batch_size), len(order) // 2)
        yield from np.array_split(order, max(1, count))

    def scaled_order(self) -> Iterator[tuple[np.ndarray, float]]:
        """Every image once, in batches, each with the scale it is to be drawn at.

        A batch's size follows its resolution, b_t = H_n W_n b_n / (H_t W_t), as in Mehta &
        Rastegari 2021, arXiv:2110.02178. Scales take turns in random order, so that every epoch
        has as many batches.
        """
        if self.config.scales == (1.0,):
            yield from ((indices, 1.0) for indices in self.order())
            return
        images, areas = len(self._source), np.square(self.config.scales)
        count = round(images / (self.config.batch_size * (1 / areas).mean()))
        # At least two images in the smallest batch: one has no batch statistics.
        count = max(1, min(count, int(images * areas.min() / areas.max()) // 3))
        turns = np.resize(self._rng.permutation(len(areas)), count)
        self._rng.shuffle(turns)
        ends = np.cumsum(1 / areas[turns])
        ends = np.round(ends / ends[-1] * images).astype(np.int64)
        batches = np.split(self._rng.permutation(images), ends[:-1])
        yield from (
            (batch, self.config.scales[turn]) for batch, turn in zip(batches, turns, strict=True)
        )

    def draw(self, indices: np.ndarray, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Augmented images float32 (B, C, H, W) and targets (B, classes).

        The images have `scale` of the dataset's height and width.
        """
        config, rng = self.config, self._rng
        pixels = self._source.pixels(indices)
        if config.crop_padding:
            pixels = augmentation.crop(pixels, config.crop_padding, rng)
        if self._mirror:
            pixels = augmentation.mirror(pixels, rng)
        images = self._source.normalised(pixels)
        if scale != 1.0:
            side = scaled_side(images.shape[-1], scale)
            images = functional.interpolate(images, (side, side), mode="bilinear")
        if config.erasing:
            images = augmentation.erase(images, config.erasing, rng)
        labels = self._source.labels(indices)
        targets = augmentation.soft_targets(labels, self._classes, config.label_smoothing)
        if config.mixup_alpha:
            images, targets = augmentation.mix(images, targets, config.mixup_alpha, rng)
        return images, targets


def scaled_side(image_size: int, scale: float) -> int:
    """Pixels a side of an image at a share of its size."""
    return max(1, round(image_size * scale))
