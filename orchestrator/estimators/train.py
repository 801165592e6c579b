"""The honest estimator: every candidate is trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors
import safetensors.torch

from orchestrator.contracts import Estimate, EstimationContext, Estimator
from orchestrator.errors import RunError
from orchestrator.measuring.gate import host_gate
from orchestrator.records import Genotype
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.weights import write_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TrainEstimator", "keep_weights"]


class TrainEstimator(Estimator):
    """Trains each candidate for `train.epochs`; a finalist goes on from the weights it got.

    Cost: a whole training a candidate, so suited to small networks or few candidates. Nothing is
    approximated, which makes it the yardstick for the cheaper estimators.
    """

    name = "train"

    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Train `network` in place; raises TrainingError, or RunError for an unwritable run.

        The weights are kept under the key of the architecture without its compression. Those of
        a candidate that was stopped early are not kept.
        """
        run = TrainRun(
            epochs=context.train.epochs,
            seed=context.seed,
            loss=context.loss,
            on_epoch=context.on_epoch,
            gate=host_gate(),
        )
        training = train(network, context.dataset, context.train, run)
        if not training.stopped:
            keep_weights(network, genotype, context)
        return Estimate(network, training.curve, training.stopped)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """What `estimate` kept for this architecture; raises RunError for a damaged file."""
        path = _weights_file(genotype, context)
        if not path.exists():
            return None
        try:
            weights: Mapping[str, Tensor] = safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise RunError(
                f"{path} is no readable weights file ({error}), expected safetensors. Delete it; "
                f"the finalist then starts from scratch."
            ) from error
        return weights


def _weights_file(genotype: Genotype, context: EstimationContext) -> Path:
    return context.weights / f"{genotype.plain().key}.safetensors"


def keep_weights(network: nn.Module, genotype: Genotype, context: EstimationContext) -> None:
    """Keep weights under the key of the architecture without its compression."""
    # Cloned: the format refuses tensors that share memory, such as tied weights.
    state = {name: t.detach().contiguous().clone() for name, t in network.state_dict().items()}
    write_weights(state, _weights_file(genotype, context))
