"""Batches of the training split as networks see them: normalised and augmented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from orchestrator.config import TrainConfig
from orchestrator.contracts import Batch, Dataset, samples_of
from orchestrator.errors import TrainingError
from orchestrator.training.feed import Take
from orchestrator.training.footing import Footing
from orchestrator.training.placement import layout_of
from orchestrator.training.sampling import balanced, labels_of, weights_of

__all__ = ["Batches", "grown", "scaled_side", "views_of"]

# Growing images have sides of whole eighths of the image size, which few networks refuse.
_EIGHTHS = 8


class Batches:
    """The training split in random order, augmented by the task; its own random numbers.

    Raises TrainingError for classes that are to be balanced and are not known, or not by the task.
    """

    def __init__(self, footing: Footing, config: TrainConfig, *, seed: int) -> None:
        self._feed = footing.feed("train")
        cut_already = getattr(self._feed.samples, "cuts", False)
        self.config = replace(config, crop_area=1.0) if cut_already else config
        self.task = footing.task
        self.facts = footing.facts
        self._layout = layout_of(footing.placement)
        balance = config.sampling == "balanced"
        self._labels = labels_of(self._feed.samples) if balance else None
        self._weights = _weights(footing, config)
        self._mirror = _mirrors(footing.dataset, config)
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self._rounds = 0

    def _drawn(self) -> np.ndarray:
        """The images of an epoch in random order."""
        if self._labels is not None:
            return balanced(self._labels, self._rng)
        return self._rng.permutation(len(self._feed))

    def once(self, most: int) -> tuple[np.ndarray, Tensor]:
        """What an epoch shows first, `most` images at most: each once, and how often it comes.

        Indices int64 (N,) and times float32 (N,), for whoever looks at an image without changing
        it, to which showing it twice tells nothing new.
        """
        order = self._drawn()[:most]
        found, first, times = np.unique(order, return_index=True, return_counts=True)
        by_first = np.argsort(first)
        return found[by_first], torch.from_numpy(times[by_first].astype(np.float32))

    def weights(self, labels: Tensor) -> Tensor:
        """What images of these classes (N,) count in the loss, float32 (N,)."""
        if self._weights is None:
            return torch.ones(len(labels), device=labels.device)
        return self._weights.to(labels.device)[labels]

    def order(self) -> Iterator[np.ndarray]:
        """Every image once, in batches of almost equal size.

        Equal sizes rather than a small rest: a single image has no batch statistics.
        """
        order = self._drawn()
        count = min(round(len(order) / self.config.batch_size), len(order) // 2)
        yield from np.array_split(order, max(1, count))

    def scaled_order(self, share: float = 1.0) -> Iterator[tuple[np.ndarray, float]]:
        """Every image once, in batches, each with the scale it is to be drawn at.

        `share` is that of the image size which images have grown to; balanced, some images come
        several times and some not.

        A batch's size follows its resolution, b_t = H_n W_n b_n / (H_t W_t), as in Mehta &
        Rastegari 2021, arXiv:2110.02178. Scales take turns in random order, so that every epoch
        has as many batches.
        """
        if self.config.scales == (1.0,):
            yield from ((indices, share) for indices in self.order())
            return
        images, areas = len(self._feed), np.square(self.config.scales)
        count = round(images / (self.config.batch_size * (1 / areas).mean()))
        # At least two images in the smallest batch: one has no batch statistics.
        count = max(1, min(count, int(images * areas.min() / areas.max()) // 3))
        turns = np.resize(self._rng.permutation(len(areas)), count)
        self._rng.shuffle(turns)
        ends = np.cumsum(1 / areas[turns])
        ends = np.round(ends / ends[-1] * images).astype(np.int64)
        batches = np.split(self._drawn(), ends[:-1])
        yield from (
            (batch, share * self.config.scales[turn])
            for batch, turn in zip(batches, turns, strict=True)
        )

    def drawn(self, order: Iterable[tuple[np.ndarray, float]]) -> Iterator[Take]:
        """For each (indices, scale) a function that gives images and what the loss takes.

        Images are float32 (B, C, H, W), of `scale` of the dataset's height and width. Ask for the
        next function without holding the gate, and call it while holding it (see `Feed`).
        """
        listed = list(order)
        self._rounds += 1
        taken = self._feed.batches((i for i, _ in listed), seed=(self._seed, self._rounds))
        for take, (_, scale) in zip(taken, listed, strict=True):
            yield partial(self._augmented, take, scale, self._rng)

    def pair(self, scale: float) -> tuple[Tensor, Tensor]:
        """Two samples at that scale, as `drawn` gives them; draws no random number of its own."""
        take = partial(self._feed.take, np.zeros(2, np.int64))
        return self._augmented(take, scale, np.random.default_rng(0))

    def _augmented(
        self, take: Take, scale: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        pixels, targets = take()
        side = scaled_side(self.facts.image_size, scale)
        weights = None if self._weights is None else self._weights.to(pixels.device)
        batch = Batch(pixels, targets, self.facts, self._mirror, side, weights)
        images, targets = self.task.batch(batch, rng, self.config)
        return images.contiguous(memory_format=self._layout), targets


def _weights(footing: Footing, config: TrainConfig) -> Tensor | None:
    """What an image of each class counts; None where all count as much."""
    if config.class_weights == "none":
        return None
    if not footing.task.weighs_classes:
        raise TrainingError(
            f"train.class_weights: task={footing.task.name} does not weigh classes. Set it to none."
        )
    samples = footing.feed("train").samples
    return torch.from_numpy(weights_of(samples, len(footing.facts.classes)))


def views_of(dataset: Dataset, config: TrainConfig) -> int | None:
    """How many different images training makes of one; None where there is no end of them."""
    endless = (
        getattr(samples_of(dataset, "train"), "cuts", False),
        config.crop_area < 1,
        config.augment != "none",
        config.colour_jitter,
        config.erasing,
        config.mixup_alpha,
        config.cutmix_alpha,
        config.scales != (1.0,),
        config.grow_from < 1,
    )
    if any(endless):
        return None
    places: int = (2 * config.crop_padding + 1) ** 2
    return places * (2 if _mirrors(dataset, config) else 1)


def _mirrors(dataset: Dataset, config: TrainConfig) -> bool:
    return dataset.mirror if config.mirror == "auto" else config.mirror == "on"


def scaled_side(image_size: int, scale: float) -> int:
    """Pixels a side of an image at a share of its size."""
    return max(1, round(image_size * scale))


def grown(start: float, epoch: int, epochs: int) -> float:
    """The share of the image size at `epoch`, from 1: `start` first, evenly more, 1 at the last."""
    if epoch >= epochs:
        return 1.0
    share = start + (1 - start) * (epoch - 1) / (epochs - 1)
    return max(1, round(share * _EIGHTHS)) / _EIGHTHS if start < 1 else 1.0
