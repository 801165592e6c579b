"""Training a store: at each step the network of one path, or of a few, takes an update.

Single path: Guo et al. 2019, arXiv:1904.00420. Sandwich rule with in-place distillation: Yu and
Huang 2019, arXiv:1903.05134. Progressive shrinking: Cai et al. 2019, arXiv:1908.09791, here as a
pool that opens from its largest networks to its smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from orchestrator.config import TrainConfig
from orchestrator.contracts import Placement
from orchestrator.errors import TrainingError
from orchestrator.measuring.gate import held
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.pool import Subnet, in_turn
from orchestrator.training import optimisation
from orchestrator.training.batches import Batches, grown
from orchestrator.training.footing import Footing
from orchestrator.trials import apart

__all__ = ["Method", "PathTraining", "Recipe"]

Method = Literal["single_path", "sandwich", "progressive"]

# Share of the epochs after which a progressive pool is open to its smallest networks.
_OPEN_AFTER = 0.6
_OPEN_FROM = 0.1
# AdamW's decay is not multiplied into the gradient and is as large as the candidates' own.
_SGD_DECAY = 1e-4


@dataclass(frozen=True)
class Recipe:
    """How a store is trained; `epochs` counts passes over the training images."""

    method: Method
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    seed: int

    def config(self, base: TrainConfig) -> TrainConfig:
        """The candidates' recipe with what differs for a store."""
        return replace(
            base,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=_SGD_DECAY if self.optimizer == "sgd" else base.weight_decay,
            accumulate=1,
            mixup_alpha=0.0,
            cutmix_alpha=0.0,
            ema_decay=0.0,
        )


class PathTraining:
    """Trains the store of `borrower` epoch by epoch; an epoch's outcome depends on nothing else.

    So a training that goes on from a saved epoch ends as one that was never stopped. In a group
    of torch.distributed every member takes the same path with its share of the batch, and the
    gradients are averaged.
    """

    def __init__(
        self, borrower: Borrower, paths: Sequence[Subnet], footing: Footing, setting: Setting
    ) -> None:
        self.borrower = borrower
        self.paths = list(paths)
        self.footing = footing
        self.recipe = setting.recipe
        self.config = setting.recipe.config(setting.train)
        self.precision = optimisation.Precision(_unscaled(footing.placement))
        self.steps_per_epoch = len(self._order(0)[1])

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.recipe.epochs * self.steps_per_epoch

    def epoch(self, number: int, on_step: Callable[[int], None] | None = None) -> None:
        """Epoch `number`, from 0; raises TrainingError for a loss that is not finite."""
        batches, order = self._order(number)
        paths = in_turn(self._open(number), seed=self.recipe.seed, epoch=number, steps=len(order))
        drawn = batches.drawn((_share(indices), scale) for indices, scale in order)
        for index, (take, path) in enumerate(zip(drawn, paths, strict=True)):
            step = number * self.steps_per_epoch + index
            with held(self.footing.gate):
                loss = self._step(path, take(), step)
            if not np.isfinite(loss):
                raise TrainingError(
                    f"the loss of the shared weights is {loss} at step {step}, expected a finite "
                    f"one. Lower estimator.learning_rate (now {self.recipe.learning_rate:g})."
                )
            if on_step is not None:
                on_step(step + 1)

    def _order(self, number: int) -> tuple[Batches, list[tuple[np.ndarray, float]]]:
        seed = apart(self.recipe.seed, number)
        batches = Batches(self.footing, self.config, seed=seed)
        share = grown(self.config.grow_from, number + 1, self.recipe.epochs)
        return batches, list(batches.scaled_order(share))

    def _open(self, number: int) -> list[Subnet]:
        """The part of the pool that this epoch draws from, largest first."""
        if self.recipe.method != "progressive":
            return self.paths
        done = number / max(1, _OPEN_AFTER * self.recipe.epochs)
        share = min(1.0, _OPEN_FROM + (1 - _OPEN_FROM) * done)
        return self.paths[: max(1, round(share * len(self.paths)))]

    def _step(self, path: Subnet, batch: tuple[Tensor, Tensor], step: int) -> float:
        """One update, or with the sandwich rule four; returns the first one's loss."""
        images, targets = batch
        rate = self.recipe.learning_rate * optimisation.schedule(
            step, self.steps, self.config.warmup_share
        )
        if self.recipe.method != "sandwich":
            return self._update(path, images, targets, rate)[0]
        loss, answer = self._update(self.paths[0], images, targets, rate)
        taught = self.footing.task.taught(answer)
        other = self.paths[(step * 7919) % len(self.paths)]
        for student in (path, other, self.paths[-1]):
            self._update(student, images, taught, rate)
        return loss

    def _update(
        self, path: Subnet, images: Tensor, targets: Tensor, rate: float
    ) -> tuple[float, Tensor]:
        borrowed = self.borrower.get(path.genotype)
        network = borrowed.network.train()
        optimizer = self.borrower.with_optimizer(borrowed, self._optimizer)
        optimisation.set_rate(optimizer, rate)
        with self.precision.autocast():
            answer = _answer(network, images)
            loss = self.footing.task.loss(answer, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        _average_gradients(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), optimisation.GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()  # now, as the next turn of this network is far and memory is not free
        borrowed.push()
        return float(loss.detach()), answer.detach()

    def _optimizer(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        return optimisation.optimizer_of(network, self.config, fused=False)


@dataclass(frozen=True)
class Setting:
    """What a training of shared weights takes beside its data."""

    recipe: Recipe
    train: TrainConfig


def _unscaled(placement: Placement) -> Placement:
    """Without float16, which asks for a scaled loss: gradients meet those of others first."""
    return replace(placement, dtype="float32") if placement.dtype == "float16" else placement


def _answer(network: torch.nn.Module, images: Tensor) -> Tensor:
    """Raises TrainingError where the network does not take images of this size."""
    try:
        return network(images)  # type: ignore[no-any-return]
    except Exception as error:
        raise TrainingError(
            f"a network of the shared weights does not take images of {tuple(images.shape)} "
            f"({error}). Networks made for one image size need train.scales at [1.0]."
        ) from error


def _share(indices: np.ndarray) -> np.ndarray:
    """This process's part of a batch."""
    if not _grouped():
        return indices
    size, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    return indices[rank::size]


def _average_gradients(network: torch.nn.Module) -> None:
    if not _grouped():
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def _grouped() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
