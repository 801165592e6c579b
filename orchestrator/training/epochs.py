"""Training and judging one network on this machine: epochs, schedule, evaluation; plain torch.

A network comes and goes on the CPU, its weights trained in place; a GPU is used where there is
one. The global random state is left as it was.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config import EarlyStopConfig, TrainConfig
from orchestrator.contracts import Dataset, Loss, Split
from orchestrator.errors import TrainingError
from orchestrator.measuring.gate import Gate, held
from orchestrator.training import optimisation
from orchestrator.training.batches import Batches, Source, scaled_side

__all__ = [
    "TrainRun",
    "Training",
    "evaluate",
    "hopeless",
    "predict",
    "seconds_per_step",
    "train",
]

# Larger batches are slower on a CPU: allocations above 32 MiB are mapped anew for every layer.
_CPU_EVALUATION_BATCH = 64
_GPU_EVALUATION_BATCH = 1024
# Training of trained weights: the peak learning rate if it is this long, else a share of it, as
# less time is left to mend what large steps break. Four epochs on 4000 images at the full rate
# gave trained and inherited weights alike 1.5 to 2.5 points more than at a third.
_WARM_EPOCHS = 4
_LEAST_WARM_SHARE = 1 / 3


@dataclass(frozen=True)
class TrainRun:
    """One training, beside its recipe.

    `loss` defaults to cross-entropy with soft targets. `on_epoch(epochs done, validation
    accuracy)` may return False to stop. `gate` is held for one step at a time. `warm` says that
    the weights are trained already: below four epochs, a lower learning rate.
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
    loss that is not finite, and before the first epoch for a network that does not take images of
    all of `config.scales`.
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
    source = Source(dataset, split, device)
    size = _CPU_EVALUATION_BATCH if device.type == "cpu" else _GPU_EVALUATION_BATCH
    was_training = network.training
    network.eval()
    logits = []
    try:
        # Not inference_mode: what a network caches in forward must stay usable in training.
        with torch.no_grad():
            for start in range(0, len(source), size):
                with held(gate):
                    images = source.normalised(source.slice(start, start + size))
                    logits.append(network(images).float().cpu())
    finally:
        network.train(was_training)
    return torch.cat(logits)


def seconds_per_step(
    network: nn.Module, dataset: Dataset, config: TrainConfig, *, steps: int = 5
) -> float:
    """Median seconds of one training step of a copy of `network`; cost: `steps` + 2 of them."""
    trial = copy.deepcopy(network)
    with _seeded(0), _placed(trial):
        session = _Session(trial, dataset, config, TrainRun(epochs=1, seed=0))
        times = []
        for indices in itertools.islice(itertools.cycle(session.batches.order()), steps + 2):
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


class _Session:
    """What lasts from one step of a training to the next."""

    def __init__(
        self, network: nn.Module, dataset: Dataset, config: TrainConfig, run: TrainRun
    ) -> None:
        self.network, self.config, self.run = network, config, run
        self.device = _device_of(network)
        self.batches = Batches(dataset, config, device=self.device, seed=run.seed)
        self.loss: Loss = run.loss or _cross_entropy
        self.optimizer = optimisation.optimizer_of(network, config)
        self.precision = optimisation.Precision(self.device, config)
        self.average = optimisation.Average(network, config.ema_decay) if config.ema_decay else None
        self.total_steps = run.epochs * len(list(self.batches.scaled_order()))
        self.steps = 0
        for scale in config.scales:
            if scale != 1.0:
                self._check_scale(dataset, scale)

    @property
    def judged(self) -> nn.Module:
        """The network whose accuracy counts."""
        return self.average.network if self.average else self.network

    def epoch(self, number: int) -> None:
        """All batches once; raises TrainingError naming the first step that diverged."""
        self.network.train()
        losses = []
        for indices, scale in self.batches.scaled_order():
            with held(self.run.gate):
                losses.append(self.step(indices, scale))
        # Looked at once an epoch, so that a GPU is not made to wait at every step.
        finite = torch.isfinite(torch.stack(losses)).tolist()
        if not all(finite):
            raise TrainingError(
                f"the loss is not finite at epoch {number}, step {finite.index(False) + 1} of "
                f"{len(finite)}, expected a finite one. Lower train.learning_rate (now "
                f"{self.config.learning_rate:g})."
            )

    def step(self, indices: np.ndarray, scale: float = 1.0) -> Tensor:
        """One update of the weights; the loss, still on the device."""
        images, targets = self.batches.draw(indices, scale)
        self._schedule()
        with self.precision.autocast():
            loss = self.loss(images, self._answer(images), targets)
        self.optimizer.zero_grad()
        self.precision.update(loss, self.network, self.optimizer)
        if self.average:
            self.average.update(self.network)
        return loss.detach()

    def _answer(self, images: Tensor) -> Tensor:
        """Logits (B, classes), or (B, heads, classes) for a loss that tells heads apart."""
        heads = getattr(self.network, "heads", None)
        # A method: there are networks that call a layer `heads`.
        if getattr(self.loss, "per_head", False) and inspect.ismethod(heads):
            return heads(images)  # type: ignore[no-any-return]
        return self.network(images)  # type: ignore[no-any-return]

    def _check_scale(self, dataset: Dataset, scale: float) -> None:
        """Raise TrainingError where the network, or a teacher in the loss, has one image size."""
        side, classes = scaled_side(dataset.image_size, scale), len(dataset.classes)
        shape = (2, dataset.in_channels, side, side)
        images = torch.zeros(shape, device=self.device)
        targets = torch.full((2, classes), 1 / classes, device=self.device)
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), held(self.run.gate):
                self.loss(images, self._answer(images), targets)
        except Exception as error:
            raise TrainingError(
                f"train.scales: at {scale:g} images have {side} px, which this network or its "
                f"teacher, made for {dataset.image_size} px, does not take ({error}). Leave "
                "train.scales at [1.0] for spaces whose networks depend on the image size."
            ) from error
        finally:
            self.network.train(was_training)

    def finish(self) -> None:
        """Leave the weights that were judged in the network, ready to be used."""
        if self.average:
            self.network.load_state_dict(self.average.network.state_dict())
        self.network.eval()

    def _schedule(self) -> None:
        warm = min(1.0, max(_LEAST_WARM_SHARE, self.run.epochs / _WARM_EPOCHS))
        peak = self.config.learning_rate * (warm if self.run.warm else 1.0)
        share = optimisation.schedule(self.steps, self.total_steps, self.config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = peak * share
        self.steps += 1


def _cross_entropy(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets)


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
