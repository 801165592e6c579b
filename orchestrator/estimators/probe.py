"""A probe: how well a linear classifier does on the features of trained weights, untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from orchestrator.contracts import Classes, Estimate, EstimationContext, Estimator
from orchestrator.errors import BuildError, ConfigError, TrainingError
from orchestrator.estimators.train import TrainEstimator
from orchestrator.records import Genotype
from orchestrator.training.batches import Batches
from orchestrator.training.building import build_network, draw_plain
from orchestrator.training.estimation import footing_of
from orchestrator.training.placement import device_of, placed
from orchestrator.training.probing import classifiers, read_features, solve
from orchestrator.trials import RandomTrial

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["ProbeEstimator"]

# A pass over the training images without gradients and the solution cost about as much of an epoch.
_COST = 0.5
_TRIES = 20


class ProbeEstimator(Estimator):
    """Solves a candidate's last layer on the features that it inherits, and judges that network.

    Only where the search starts from trained weights, and for classification. Batch norm keeps the
    inherited statistics: taken anew on small images they cost half the accuracy. `images` is how
    many training images are looked at, at most, balanced where training is, and each counts as it
    does there; `penalty` holds the weights down (see `orchestrator.training.probing.solve`). Cost:
    some CPU seconds a candidate.
    """

    name = "probe"
    approximate = True
    needs_start = True
    serves = frozenset({Classes})

    def __init__(self, *, images: int = 5000, penalty: float = 1e-2) -> None:
        if images < 2:
            raise ConfigError(f"estimator.images: found {images}, expected at least 2.")
        if penalty <= 0:
            raise ConfigError(f"estimator.penalty: found {penalty}, expected above 0.")
        self.images = self.most_images = images
        self.penalty = penalty
        self._trained = TrainEstimator()

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """Nothing but a look; raises ConfigError where it cannot be used."""
        network = _some_network(context)
        if not classifiers(network, _noise(context)):
            raise ConfigError(
                f"estimator=probe: networks of {context.space.name} do not end in a linear layer "
                "for each answer, which is what it solves. Choose another estimator."
            )
        return ()

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Solve the last layer of `network` in place; raises TrainingError if it is not linear."""
        footing = footing_of(context)
        batches = Batches(footing, context.train, seed=context.seed)
        indices, times = batches.once(self.images)
        with torch.random.fork_rng(devices=[]), placed(network, context.placement):
            torch.manual_seed(context.seed)
            images = _noise(context).to(device_of(network))
            layers = classifiers(network, images)
            if not layers:
                raise TrainingError("the network does not end in a linear layer for each answer.")
            reading = read_features(network, layers, footing, indices)
            labels = reading.labels
            weights = times.to(labels.device) * batches.weights(labels)
            for layer, features in zip(layers, reading.features, strict=True):
                solve(layer, features, labels, penalty=self.penalty, weights=weights)
        figure = context.judge(network)
        if context.on_epoch is not None:
            context.on_epoch(1, figure)
        return Estimate(network.eval(), (figure,))

    def training_epochs(self, train: TrainConfig) -> tuple[float, float]:
        """Nothing ahead, and half an epoch a candidate."""
        return 0.0, _COST

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What training further left for this architecture; else it starts as it was given.

        Not with the solved classifier: training on from it ended worse than from a random one.
        """
        return self._trained.initial_weights(genotype, context)


def _some_network(context: EstimationContext) -> nn.Module:
    """Any that can be built for these images; raises the last BuildError for none."""
    for seed in range(_TRIES):
        genotype = draw_plain(context.space, context.task, RandomTrial(seed))
        try:
            return build_network(context.space, genotype, context.facts, seed=0, task=context.task)
        except BuildError as error:
            failure = error
    raise failure


def _noise(context: EstimationContext) -> Tensor:
    """Two images, the same ones always."""
    return torch.randn(2, *context.facts.shape, generator=torch.Generator().manual_seed(0))
