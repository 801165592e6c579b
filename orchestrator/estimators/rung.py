"""A training that pauses at rungs and goes on from its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.contracts import Estimate, EstimationContext, Estimator
from orchestrator.errors import TrainingError, plural
from orchestrator.estimators.further import load_weights
from orchestrator.records import Genotype
from orchestrator.training.weights import WeightFolder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["RungTraining", "drop_checkpoints"]


@dataclass(frozen=True)
class RungTraining(Estimator):
    """Trains from the end of `curve` to the epoch `until`; short of `train.epochs` it pauses.

    Each leg is a training of its own, whose learning rate falls to the end: what is compared at a
    rung are finished trainings of one length. A pause is an estimate that was stopped, with all of
    the curve so far; its weights are a checkpoint of that epoch, so that a leg that was
    interrupted begins where it began. `most_images` are those of an epoch of the estimator that it
    stands for.
    """

    name = "rung"

    curve: Sequence[float]
    until: int
    most_images: int | None = None

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Train `network` in place; raises TrainingError, or RunError for an unwritable run."""
        done, on_epoch = len(self.curve), context.on_epoch
        if done:
            weights = WeightFolder(_folder(context.weights, done)).load(genotype)
            if weights is None:
                raise TrainingError(f"its checkpoint after {plural(done, 'epoch')} is gone.")
            load_weights(network, weights, genotype)
        training = context.trainer(
            network,
            epochs=self.until - done,
            seed=context.seed + done,
            loss=context.loss,
            on_epoch=on_epoch and (lambda epoch, reached: on_epoch(done + epoch, reached)),
            warm=done > 0,
            images=self.most_images,
        )
        curve = (*self.curve, *training.curve)
        paused = self.until < context.train.epochs
        if not training.stopped:
            folder = _folder(context.weights, self.until)
            store = WeightFolder(folder) if paused else context.store
            store.keep(network, genotype)
        return Estimate(network, curve, stopped=training.stopped or paused)


def drop_checkpoints(weights: Path, genotype: Genotype) -> None:
    """Remove those of an architecture from a run's folder of weights: its training is over."""
    for path in (weights / "rungs").glob(f"*/{genotype.plain().key}.safetensors"):
        path.unlink(missing_ok=True)


def _folder(weights: Path, epochs: int) -> Path:
    """Where the checkpoints of a rung lie, in a run's folder of weights."""
    return weights / "rungs" / str(epochs)
