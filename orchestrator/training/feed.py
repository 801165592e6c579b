"""From a split's samples to tensors on the device that computes.

Arrays in memory are read on the spot; whatever must be decoded is read ahead in threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from orchestrator.contracts import ArraySamples, Placement, Samples
from orchestrator.measuring.agent import usable_cores
from orchestrator.measuring.gate import Gate, held

__all__ = ["Feed", "Take"]

# Pixels uint8 (B, C, H, W) and targets int64 (B, …) on the device that computes.
Take = Callable[[], tuple[Tensor, Tensor]]

_GPU_RESIDENT_BYTES = 4 * 2**30
# Batches that are read while one is computed with; on a CPU the computing needs the cores.
_CPU_READERS = 2
_GPU_READERS = 8


class Feed:
    """One split's samples, where they are needed.

    `gate` is held while a batch is read ahead, as that is work which would disturb a measurement.
    """

    def __init__(self, samples: Samples, placement: Placement, gate: Gate | None = None) -> None:
        self.samples = _viewed(samples)
        self.placement = placement
        self.gate = gate
        self._resident = self._moved_for_good()

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Samples of these indices, with nothing random about them."""
        return self._moved(self._read(indices))

    def batches(
        self, order: Iterable[np.ndarray], *, seed: tuple[int, ...] | None = None
    ) -> Iterator[Take]:
        """For each entry of `order` a function that gives its samples.

        The iterator waits for what is read ahead, so call for the next one without holding the
        gate, and the function while holding it. `seed` decides what readers do at random; without
        it nothing is.
        """
        if isinstance(self.samples, ArraySamples):
            yield from (partial(self.take, indices) for indices in order)
            return
        readers = _CPU_READERS if self.placement.device == "cpu" else _readers()
        with ThreadPoolExecutor(readers) as pool:
            jobs = (
                pool.submit(self._read_ahead, indices, _generator(seed, number))
                for number, indices in enumerate(order)
            )
            waiting = deque(islice(jobs, readers + 1))
            try:
                while waiting:
                    found = waiting.popleft().result()
                    waiting.extend(islice(jobs, 1))
                    yield partial(self._moved, found)
            finally:
                pool.shutdown(cancel_futures=True)

    def _read_ahead(
        self, indices: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        with held(self.gate):
            pixels, targets = self._read(indices, rng)
            pinned = self.placement.device != "cpu"
            return (pixels.pin_memory(), targets.pin_memory()) if pinned else (pixels, targets)

    def _read(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        if self._resident is not None:
            chosen = torch.from_numpy(indices).to(self.placement.device)
            return self._resident[0][chosen], self._resident[1][chosen]
        pixels, targets = self.samples.read(indices, rng)
        return torch.from_numpy(pixels), torch.from_numpy(targets.astype(np.int64, copy=False))

    def _moved(self, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        pixels, targets = found
        device = self.placement.device
        return pixels.to(device, non_blocking=True), targets.to(device, non_blocking=True)

    def _moved_for_good(self) -> tuple[Tensor, Tensor] | None:
        """A decoded split that a GPU has room for."""
        found = self.samples
        if self.placement.device == "cpu" or not isinstance(found, ArraySamples):
            return None
        if found.pixels.nbytes + found.targets.nbytes > _GPU_RESIDENT_BYTES:
            return None
        pixels, targets = found.pixels.copy(), found.targets.astype(np.int64)
        return self._moved((torch.from_numpy(pixels), torch.from_numpy(targets)))


def _viewed(samples: Samples) -> Samples:
    """Plain views: indexing numpy's memmap class itself is several times slower."""
    if type(samples) is not ArraySamples:
        return samples
    return ArraySamples(np.asarray(samples.pixels), np.asarray(samples.targets))


def _generator(seed: tuple[int, ...] | None, number: int) -> np.random.Generator | None:
    """A generator of each batch's own, whichever thread reads it and when."""
    return None if seed is None else np.random.default_rng((*seed, number))


def _readers() -> int:
    return min(_GPU_READERS, usable_cores())
