"""Training images that compressors and objectives look at: as many as each asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from orchestrator.contracts import Compressor, Dataset, Objective, Samples, samples_of
from orchestrator.errors import plural

__all__ = ["Calibration"]

# What everyone gets who does not ask for more.
_FEWEST = 128


class Calibration:
    """Images of the training split, drawn once and alike in every process.

    Who asks for more gets those of who asks for fewer, and others; what one asks for never
    changes what another gets. What was asked for is kept: 600 MB for 1000 images of 224×224.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def images(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At least 128, at most all: float32 (N, C, H, W) and their targets, int64 (N, …)."""
        count = min(max(count, _FEWEST), len(self._samples()))
        if count not in self._kept:
            self._kept[count] = self._drawn(count)
        return self._kept[count]

    def notes(
        self, compressors: Mapping[str, Compressor], objectives: Sequence[Objective]
    ) -> Iterator[str]:
        """A sentence for each that asks for more than there are."""
        there = len(self._samples())
        asking = {f"compressor.{key}": item.calibration_images for key, item in compressors.items()}
        asking |= {f"objective.{item.name}": item.training_images for item in objectives}
        for name, wanted in asking.items():
            if wanted > there:
                asked = plural(wanted, "training image")
                yield f"{name} asks for {asked} and gets all {there} there are."

    def _drawn(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        samples = self._samples()
        chosen = np.sort(np.random.default_rng(0).permutation(len(samples))[:count])
        pixels, targets = samples.read(chosen)
        images = self._dataset.facts.normalise(np.asarray(pixels))
        return images, np.asarray(targets).astype(np.int64)

    def _samples(self) -> Samples:
        return samples_of(self._dataset, "train")
