"""An estimator as a third party would write it: equal to `train`, on the public face alone."""

from collections.abc import Mapping

from torch import Tensor, nn

from orchestrator import Estimate, EstimationContext, Estimator, Genotype


class TheirTrain(Estimator):
    """Trains every candidate from scratch and keeps its weights for the finals."""

    name = "their_train"

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Train in place by the run's own recipe."""
        training = context.trainer(
            network,
            epochs=context.train.epochs,
            seed=context.seed,
            loss=context.loss,
            on_epoch=context.on_epoch,
        )
        if not training.stopped:
            context.store.keep(network, genotype)
        return Estimate(network, training.curve, training.stopped)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What was kept."""
        return context.store.load(genotype)
