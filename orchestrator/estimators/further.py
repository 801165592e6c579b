"""Training that goes on from what another estimator left: how estimates are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.contracts import Estimate, EstimationContext, Estimator
from orchestrator.errors import TrainingError
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FurtherTraining", "load_weights"]


class FurtherTraining(Estimator):
    """Trains for `epochs` from the weights `before` knows, from scratch where it knows none.

    What it trains is kept in the same place, so that the next rung and a finalist go on from it.
    """

    name = "further"

    def __init__(self, before: Estimator, epochs: int) -> None:
        self.before = before
        self.epochs = epochs

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Train `network` in place; raises TrainingError."""
        weights = self.initial_weights(genotype.plain(), context)
        if weights is not None:
            load_weights(network, weights, genotype)
        training = context.trainer(
            network,
            epochs=self.epochs,
            seed=context.seed + 1,
            loss=context.loss,
            warm=weights is not None,
        )
        context.store.keep(network, genotype)
        return Estimate(network, training.curve)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """Those of the estimator before."""
        return self.before.initial_weights(genotype, context)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], genotype: Genotype) -> None:
    """Put kept weights into `network`; raises TrainingError where they do not fit."""
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise TrainingError(
            f"the weights kept for {genotype.plain().key} do not fit its network: {error}. Remove "
            "them from the run's folder weights to train it from scratch."
        ) from error
