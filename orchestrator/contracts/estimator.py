"""An estimator: how a candidate's accuracy becomes known during the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator.candidate import Genotype
from orchestrator.contracts.compressor import Loss
from orchestrator.contracts.dataset import Dataset
from orchestrator.contracts.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["Estimate", "EstimationContext", "Estimator"]


@dataclass(frozen=True)
class EstimationContext:
    """What an estimator may use.

    `weights` is the run's folder for trained weights, one file a genotype. `on_epoch(epoch,
    validation accuracy)` is called after each epoch and returns False to stop a hopeless
    candidate; `loss` is the candidate's own where a compressor changed it.
    """

    space: SearchSpace
    dataset: Dataset
    train: TrainConfig
    weights: Path
    seed: int
    loss: Loss | None = None
    on_epoch: Callable[[int, float], bool] | None = None


@dataclass(frozen=True)
class Estimate:
    """A network with usable weights, and its validation accuracy epoch by epoch, in [0, 1]."""

    network: nn.Module
    curve: tuple[float, ...]
    stopped: bool = False


class Estimator(ABC):
    """Training, weight sharing, or a proxy."""

    name: ClassVar[str]

    def prepare(self, context: EstimationContext) -> None:
        """What is paid once before the search, such as training a supernet."""
        return

    @abstractmethod
    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Give `network` (freshly built) weights; raises TrainingError."""

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """Weights a finalist starts from, by parameter name; None to start from scratch."""
        return None
