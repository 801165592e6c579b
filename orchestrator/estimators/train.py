"""The honest estimator: every candidate is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.contracts import Estimate, EstimationContext, Estimator
from orchestrator.errors import ConfigError
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TrainEstimator"]


class TrainEstimator(Estimator):
    """Trains each candidate for `train.epochs`; a finalist goes on from the weights it got.

    From scratch, or from what the candidate inherits where the search starts from trained weights.
    With `images` an epoch has so many of them at most, drawn anew for each: for large datasets, of
    which a candidate need not see all to be told from others. Finalists always see all.

    Cost: a whole training a candidate, so suited to small networks or few candidates. Nothing is
    approximated, which makes it the yardstick for the cheaper estimators.
    """

    name = "train"

    def __init__(self, *, images: int | None = None) -> None:
        if images is not None and images < 2:
            raise ConfigError(f"estimator.images: found {images}, expected null or at least 2.")
        self.most_images = images

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Train `network` in place; raises TrainingError, or RunError for an unwritable run.

        The weights are kept under the key of the architecture without its compression. Those of
        a candidate that was stopped early are not kept.
        """
        training = context.trainer(
            network,
            epochs=context.train.epochs,
            seed=context.seed,
            loss=context.loss,
            on_epoch=context.on_epoch,
            images=self.most_images,
        )
        if not training.stopped:
            context.store.keep(network, genotype)
        return Estimate(network, training.curve, training.stopped)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What `estimate` kept for this architecture; raises RunError for a damaged file."""
        return context.store.load(genotype)
