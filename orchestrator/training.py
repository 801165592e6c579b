"""Training and judging one network on this machine: epochs, schedule, evaluation; plain torch.

A network comes and goes on the CPU, its weights trained in place; a GPU is used where there is
one. The global random state is left as it was.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import augmentation, optimisation
from orchestrator.config import EarlyStopConfig, TrainConfig
from orchestrator.contracts import Dataset, Loss, Split
from orchestrator.errors import DataError, TrainingError
from orchestrator.gate import Gate

__all__ = [
    "TrainRun",
    "Training",
    "evaluate",
    "hopeless",
    "normalise",
    "predict",
    "seconds_per_step",
    "train",
]

# Larger batches are slower on a CPU: allocations above 32 MiB are mapped anew for every layer.
_CPU_EVALUATION_BATCH = 64
_GPU_EVALUATION_BATCH = 1024
# Retraining of trained weights: this share of the peak learning rate.
_WARM_SHARE = 1 / 3
_GPU_RESIDENT_BYTES = 4 * 2**30


@dataclass(frozen=True)
class TrainRun:
    """One training, beside its recipe.

    `loss` defaults to cross-entropy with soft targets. `on_epoch(epochs done, validation
    accuracy)` may return False to stop. `gate` is held for one step at a time. `warm` says that
    the weights are trained already: a third of the learning rate.
    """

    epochs: int
    seed: int
    loss: Loss | None = None
    on_epoch: Callable[[int, float], bool] | None = None
    gate: Gate | None = None
    warm: bool = False


@dataclass(frozen=True)
class Training:
    """Validation accuracy in [0, 1] after each epoch, and whether `on_epoch` ended it early."""

    curve: tuple[float, ...]
    stopped: bool = False


def train(network: nn.Module, dataset: Dataset, config: TrainConfig, run: TrainRun) -> Training:
    """Train `network` in place; it ends on the CPU, in eval mode, with averaged weights if any.

    `config.epochs` and `config.threads` are not read here: `run.epochs` counts, and threads are
    the process's. The same arguments give the same curve on a CPU. Raises TrainingError for a
    loss that is not finite.
    """
    with _seeded(run.seed), _placed(network):
        session = _Session(network, dataset, config, run)
        curve: list[float] = []
        stopped = False
        while len(curve) < run.epochs and not stopped:
            session.epoch(len(curve) + 1)
            curve.append(evaluate(session.judged, dataset, "validation", gate=run.gate))
            proceed = run.on_epoch is None or run.on_epoch(len(curve), curve[-1])
            stopped = not proceed and len(curve) < run.epochs
        session.finish()
    return Training(tuple(curve), stopped)


def evaluate(
    network: nn.Module, dataset: Dataset, split: Split, *, gate: Gate | None = None
) -> float:
    """Top-1 accuracy in [0, 1] on a split."""
    guesses = predict(network, dataset, split, gate=gate).argmax(1)
    return float((guesses.numpy() == dataset.split(split).labels).mean())


def predict(
    network: nn.Module, dataset: Dataset, split: Split, *, gate: Gate | None = None
) -> Tensor:
    """Logits float32 (N, classes) of a split, on the CPU; the network's mode is left as it was."""
    device = _device_of(network)
    source = _Source(dataset, split, device)
    size = _CPU_EVALUATION_BATCH if device.type == "cpu" else _GPU_EVALUATION_BATCH
    was_training = network.training
    network.eval()
    logits = []
    try:
        # Not inference_mode: what a network caches in forward must stay usable in training.
        with torch.no_grad():
            for start in range(0, len(source), size):
                with _held(gate):
                    images = source.normalised(source.slice(start, start + size))
                    logits.append(network(images).float().cpu())
    finally:
        network.train(was_training)
    return torch.cat(logits)


def normalise(images: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Pixels uint8 (N, C, H, W) as the networks want them: float32, mean 0 and deviation 1."""
    scale, shift = _affine(dataset)
    normalised: np.ndarray = images.astype(np.float32) * scale + shift
    return normalised


def seconds_per_step(
    network: nn.Module, dataset: Dataset, config: TrainConfig, *, steps: int = 5
) -> float:
    """Median seconds of one training step of a copy of `network`; cost: `steps` + 2 of them."""
    trial = copy.deepcopy(network)
    with _seeded(0), _placed(trial):
        session = _Session(trial, dataset, config, TrainRun(epochs=1, seed=0))
        times = []
        for indices in itertools.islice(itertools.cycle(session.batches()), steps + 2):
            start = time.perf_counter()
            session.step(indices).item()
            times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def hopeless(
    epoch: int,
    accuracy: float,
    epochs: int,
    rivals: Sequence[Sequence[float]],
    config: EarlyStopConfig,
) -> bool:
    """Whether training should end after `epoch` (from 1) of `epochs`.

    `rivals` are the curves of finished candidates that are no worse in every other objective.
    The candidate is hopeless when enough of them were ahead by the margin at the same epoch. The
    last epoch never counts: there is nothing left to save.
    """
    if config.rivals == 0 or epoch >= epochs or epoch < config.after * epochs:
        return False
    ahead = [c for c in rivals if len(c) >= epoch and c[epoch - 1] > accuracy + config.margin]
    return len(ahead) >= config.rivals


class _Source:
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
        scale, shift = _affine(dataset)
        self._scale = torch.from_numpy(scale).to(device)
        self._shift = torch.from_numpy(shift).to(device)

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
        images = pixels.to(torch.float32, memory_format=torch.channels_last)
        return images.mul_(self._scale).add_(self._shift)


class _Session:
    """What lasts from one step of a training to the next."""

    def __init__(
        self, network: nn.Module, dataset: Dataset, config: TrainConfig, run: TrainRun
    ) -> None:
        self.network, self.config, self.run = network, config, run
        self.device = _device_of(network)
        self.source = _Source(dataset, "train", self.device)
        self.classes = len(dataset.classes)
        self.mirror = dataset.mirror if config.mirror == "auto" else config.mirror == "on"
        self.rng = np.random.default_rng(run.seed)
        self.loss: Loss = run.loss or _cross_entropy
        self.optimizer = optimisation.optimizer_of(network, config)
        self.precision = optimisation.Precision(self.device, config)
        self.average = optimisation.Average(network, config.ema_decay) if config.ema_decay else None
        self.total_steps = run.epochs * len(list(self.batches()))
        self.steps = 0

    @property
    def judged(self) -> nn.Module:
        """The network whose accuracy counts."""
        return self.average.network if self.average else self.network

    def batches(self) -> Iterator[np.ndarray]:
        """Every image once, in batches of almost equal size.

        Equal sizes rather than a small rest: a single image has no batch statistics.
        """
        order = self.rng.permutation(len(self.source))
        count = min(round(len(order) / self.config.batch_size), len(order) // 2)
        yield from np.array_split(order, max(1, count))

    def epoch(self, number: int) -> None:
        """All batches once; raises TrainingError naming the first step that diverged."""
        self.network.train()
        losses = []
        for indices in self.batches():
            with _held(self.run.gate):
                losses.append(self.step(indices))
        # Looked at once an epoch, so that a GPU is not made to wait at every step.
        finite = torch.isfinite(torch.stack(losses)).tolist()
        if not all(finite):
            raise TrainingError(
                f"the loss is not finite at epoch {number}, step {finite.index(False) + 1} of "
                f"{len(finite)}, expected a finite one. Lower train.learning_rate (now "
                f"{self.config.learning_rate:g})."
            )

    def step(self, indices: np.ndarray) -> Tensor:
        """One update of the weights; the loss, still on the device."""
        images, targets = self._batch(indices)
        self._schedule()
        with self.precision.autocast():
            loss = self.loss(images, self.network(images), targets)
        self.optimizer.zero_grad()
        self.precision.update(loss, self.network, self.optimizer)
        if self.average:
            self.average.update(self.network)
        return loss.detach()

    def finish(self) -> None:
        """Leave the weights that were judged in the network, ready to be used."""
        if self.average:
            self.network.load_state_dict(self.average.network.state_dict())
        self.network.eval()

    def _batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Augmented images float32 (B, C, H, W) and targets (B, classes)."""
        config, rng = self.config, self.rng
        pixels = self.source.pixels(indices)
        if config.crop_padding:
            pixels = augmentation.crop(pixels, config.crop_padding, rng)
        if self.mirror:
            pixels = augmentation.mirror(pixels, rng)
        images = self.source.normalised(pixels)
        if config.erasing:
            images = augmentation.erase(images, config.erasing, rng)
        labels = self.source.labels(indices)
        targets = augmentation.soft_targets(labels, self.classes, config.label_smoothing)
        if config.mixup_alpha:
            images, targets = augmentation.mix(images, targets, config.mixup_alpha, rng)
        return images, targets

    def _schedule(self) -> None:
        peak = self.config.learning_rate * (_WARM_SHARE if self.run.warm else 1.0)
        share = optimisation.schedule(self.steps, self.total_steps, self.config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = peak * share
        self.steps += 1


def _cross_entropy(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets)


def _affine(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift, float32 (1, C, 1, 1), that turn bytes into normalised values."""
    mean = np.asarray(dataset.mean, np.float32).reshape(1, -1, 1, 1)
    deviation = np.asarray(dataset.deviation, np.float32).reshape(1, -1, 1, 1)
    return 1 / (255 * deviation), -mean / deviation


def _held(gate: Gate | None) -> AbstractContextManager[None]:
    return gate.shared() if gate else nullcontext()


def _device_of(network: nn.Module) -> torch.device:
    return next(optimisation.tensors(network), torch.empty(0)).device


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's global generators (dropout) seeded here and as before afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def _placed(network: nn.Module) -> Iterator[None]:
    """The network on the device that trains, in the memory layout that is fastest.

    Channels last makes depthwise networks a third faster on a CPU. Afterwards everything is as
    it came, whatever happened: exporters and files expect it so.
    """
    home = _device_of(network)
    target = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device=target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        network.to(device=home, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for parameter in network.parameters():
            parameter.grad = None
