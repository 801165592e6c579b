"""Training one network on this machine: epochs and schedule; plain torch.

A network comes and goes as it is, its weights trained in place, where its footing says. The global
random state is left as it was.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator.config import EarlyStopConfig, TrainConfig
from orchestrator.contracts import Loss, Task, Training
from orchestrator.errors import TrainingError
from orchestrator.measuring.gate import held
from orchestrator.training import optimisation
from orchestrator.training.batches import Batches, grown, scaled_side
from orchestrator.training.footing import Footing
from orchestrator.training.placement import placed
from orchestrator.training.scoring import leading_figure

__all__ = [
    "TrainRun",
    "hopeless",
    "losses_of_a_batch",
    "own_loss",
    "seconds_per_step",
    "train",
    "watching",
]

# Training of trained weights: the peak learning rate if it is this long, else a share of it, as
# less time is left to mend what large steps break. Four epochs on 4000 images at the full rate
# gave trained and inherited weights alike 1.5 to 2.5 points more than at a third.
_WARM_EPOCHS = 4
_LEAST_WARM_SHARE = 1 / 3
# So few are learnt by heart by whatever learns at all, for a fraction of what a batch costs.
_LEARNT_IMAGES = 8
# What switches a setting off that asks for smaller images.
_OFF = {"scales": "[1.0]", "grow_from": "1.0"}


@dataclass(frozen=True)
class TrainRun:
    """One training, beside its recipe.

    `loss` defaults to the task's. `on_epoch(epochs done, leading metric on validation)` may return
    False to stop. `warm` says that the whole network, its head too, was trained on these images
    before: below four epochs a lower learning rate, and images of the whole size throughout. A
    network under a new head is not warm, whatever the rest of it was trained on: its rate is the
    recipe's, which is chosen for such networks. `steps` ends it after so many batches, and of
    `images` there are so many in an epoch at most, drawn anew for each.
    """

    epochs: int
    seed: int
    loss: Loss | None = None
    on_epoch: Callable[[int, float], bool] | None = None
    warm: bool = False
    steps: int | None = None
    images: int | None = None


def train(network: nn.Module, footing: Footing, config: TrainConfig, run: TrainRun) -> Training:
    """Train `network` in place; it ends as it came, in eval mode, with averaged weights if any.

    `config.epochs` and `config.threads` are not read here: `run.epochs` counts, and threads are
    the process's. The same arguments give the same curve on a CPU. Raises TrainingError for a
    loss that is not finite, and before the first epoch for a network that does not take images of
    all of `config.scales`, or smaller ones from which they grow.
    """
    with _seeded(run.seed), placed(network, footing.placement), watching(network, run.loss):
        session = _Session(network, footing, config, run)
        curve: list[float] = []
        stopped = False
        while len(curve) < run.epochs and not stopped and session.left != 0:
            session.epoch(len(curve) + 1)
            curve.append(leading_figure(session.judged, footing))
            proceed = run.on_epoch is None or run.on_epoch(len(curve), curve[-1])
            stopped = not proceed and len(curve) < run.epochs
        session.finish()
    return Training(tuple(curve), stopped)


def own_loss(task: Task) -> Loss:
    """The task's loss in the form that compressors wrap and trainings take."""

    def loss(images: Tensor, answer: Tensor, targets: Tensor) -> Tensor:
        return task.loss(answer, targets)

    return loss


def seconds_per_step(
    network: nn.Module, footing: Footing, config: TrainConfig, *, steps: int = 5
) -> float:
    """Median seconds of one training step of a copy of `network`; cost: `steps` + 2 of them."""
    trial = copy.deepcopy(network)
    with _seeded(0), placed(trial, footing.placement):
        session = _Session(trial, footing, config, TrainRun(epochs=1, seed=0))
        whole = ((indices, 1.0) for indices in itertools.cycle(session.batches.order()))
        times = []
        start = time.perf_counter()
        for take in session.batches.drawn(itertools.islice(whole, steps + 2)):
            session.step(*take()).item()
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
    return statistics.median(times[2:])


def losses_of_a_batch(
    network: nn.Module, footing: Footing, config: TrainConfig, *, steps: int = 10
) -> list[float]:
    """The loss of a few images before each of `steps` on them, at the recipe's rate; of a copy.

    Steps that learn anything lower it. Raises TrainingError like `train`.
    """
    trial = copy.deepcopy(network)
    with _seeded(0), placed(trial, footing.placement):
        run = TrainRun(epochs=1, seed=0, steps=steps * config.accumulate)
        session = _Session(trial, footing, config, run)
        trial.train()
        indices = next(iter(session.batches.order()))[:_LEARNT_IMAGES]
        take = next(iter(session.batches.drawn([(indices, 1.0)])))
        images, targets = take()
        return [float(session.step(images, targets)) for _ in range(steps)]


def hopeless(
    epoch: int,
    reached: float,
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
    ahead = [c for c in rivals if len(c) >= epoch and c[epoch - 1] > reached + config.margin]
    return len(ahead) >= config.rivals


class _Session:
    """What lasts from one step of a training to the next."""

    def __init__(
        self, network: nn.Module, footing: Footing, config: TrainConfig, run: TrainRun
    ) -> None:
        self.network, self.config, self.run = network, config, run
        self.footing = footing
        self.batches = Batches(footing, config, seed=run.seed)
        self.loss: Loss = run.loss or own_loss(footing.task)
        self.optimizer = optimisation.optimizer_of(network, config)
        self.precision = optimisation.Precision(footing.placement)
        self.average = optimisation.Average(network, config.ema_decay) if config.ema_decay else None
        # Batches of an epoch.
        self.whole = len(list(self.batches.scaled_order()))
        if run.images is not None:
            self.whole = min(self.whole, math.ceil(run.images / config.batch_size))
        self.total_steps = run.epochs * math.ceil(self.whole / config.accumulate)
        # Batches that may still be seen; None for all.
        self.left = run.steps
        if run.steps is not None:
            self.total_steps = min(self.total_steps, math.ceil(run.steps / config.accumulate))
        self.steps = 0
        for key, scale in sorted(self._scales()):
            self._check_scale(key, scale)

    @property
    def judged(self) -> nn.Module:
        """The network whose figures count."""
        return self.average.network if self.average else self.network

    def epoch(self, number: int) -> None:
        """All batches once; raises TrainingError naming the first step that diverged."""
        self.network.train()
        losses = []
        order = list(self.batches.scaled_order(self._grown(number)))[: self.whole][: self.left]
        if self.left is not None:
            self.left -= len(order)
        shares = _shares([len(indices) for indices, _ in order], self.config.accumulate)
        for take, (share, last) in zip(self.batches.drawn(order), shares, strict=True):
            with held(self.footing.gate):
                losses.append(self.step(*take(), share=share, last=last))
        # Looked at once an epoch, so that a GPU is not made to wait at every step.
        finite = torch.isfinite(torch.stack(losses)).tolist()
        if not all(finite):
            raise TrainingError(
                f"the loss is not finite at epoch {number}, step {finite.index(False) + 1} of "
                f"{len(finite)}, expected a finite one. Lower train.learning_rate (now "
                f"{self.config.learning_rate:g})."
            )

    def step(
        self, images: Tensor, targets: Tensor, *, share: float = 1.0, last: bool = True
    ) -> Tensor:
        """The loss of a batch, still on the device, and with the `last` of several an update.

        `share` is the batch's of the images that make the update.
        """
        with self.precision.autocast():
            loss = self.loss(images, self._answer(images), targets)
        self.precision.backward(loss * share if share < 1 else loss)
        if last:
            self._schedule()
            self.precision.step(self.network, self.optimizer)
            self.optimizer.zero_grad()
            if self.average:
                self.average.update(self.network)
        return loss.detach()

    def _answer(self, images: Tensor) -> Tensor:
        """The network's answer, or (B, heads, …) for a loss that tells heads apart."""
        heads = getattr(self.network, "heads", None)
        # A method: there are networks that call a layer `heads`.
        if getattr(self.loss, "per_head", False) and inspect.ismethod(heads):
            return heads(images)  # type: ignore[no-any-return]
        return self.network(images)  # type: ignore[no-any-return]

    def _grown(self, epoch: int) -> float:
        """The share of the image size at an epoch, from 1."""
        return 1.0 if self.run.warm else grown(self.config.grow_from, epoch, self.run.epochs)

    def _scales(self) -> set[tuple[str, float]]:
        """Every scale but 1 at which images will come, with the setting that asks for it."""
        shares = {self._grown(epoch + 1) for epoch in range(self.run.epochs)}
        asked = {("scales", scale) for scale in self.config.scales}
        asked |= {("grow_from", share * s) for share in shares - {1.0} for s in self.config.scales}
        return {(key, scale) for key, scale in asked if scale != 1.0}

    def _check_scale(self, key: str, scale: float) -> None:
        """Raise TrainingError where the network, or a teacher in the loss, has one image size."""
        images, targets = self.batches.pair(scale)
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), held(self.footing.gate):
                self.loss(images, self._answer(images), targets)
        except Exception as error:
            size = self.footing.facts.image_size
            raise TrainingError(
                f"train.{key}: at {scale:g} an image has {scaled_side(size, scale)} px, which this "
                f"network or its teacher, made for {size} px, does not take ({error}). Leave "
                f"train.{key} at {_OFF[key]} for spaces whose networks depend on the image size."
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
        optimisation.set_rate(self.optimizer, peak * share)
        self.steps += 1


def _shares(sizes: Sequence[int], together: int) -> Iterator[tuple[float, bool]]:
    """For each batch its share of the images of an update, and whether it is the last of them."""
    for start in range(0, len(sizes), together):
        group = sizes[start : start + together]
        for place, size in enumerate(group, start=1):
            yield size / sum(group), place == len(group)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's global generators (dropout) seeded here and as before afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def watching(network: nn.Module, loss: Loss | None) -> Iterator[None]:
    """A loss, and each that it wraps, may look into the network inside."""
    with ExitStack() as stack:
        while loss is not None:
            if (watch := getattr(loss, "watching", None)) is not None:
                stack.enter_context(watch(network))
            loss = getattr(loss, "before", None)
        yield
