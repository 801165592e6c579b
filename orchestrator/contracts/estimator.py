"""An estimator: how a candidate's accuracy becomes known during the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator.contracts.compressor import Loss
from orchestrator.contracts.dataset import Dataset
from orchestrator.contracts.space import SearchSpace
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["Estimate", "EstimationContext", "Estimator"]


@dataclass(frozen=True)
class EstimationContext:
    """What an estimator may use.

    `weights` is the run's folder for trained weights, one file a genotype. `on_epoch(epoch,
    validation accuracy)` is called after each epoch and returns False to stop a hopeless
    candidate; `on_progress(done, total)` while something is prepared; `loss` is the candidate's
    own where a compressor changed it.
    """

    space: SearchSpace
    dataset: Dataset
    train: TrainConfig
    weights: Path
    seed: int
    loss: Loss | None = None
    on_epoch: Callable[[int, float], bool] | None = None
    on_progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Estimate:
    """A network with usable weights, and its validation accuracy epoch by epoch, in [0, 1].

    Where the weights are not usable, because accuracy was predicted without training,
    `predicted` is that accuracy; otherwise the exported file itself is asked.
    """

    network: nn.Module
    curve: tuple[float, ...]
    stopped: bool = False
    predicted: float | None = None


class Estimator(ABC):
    """Training, weight sharing, or a proxy.

    `approximate` says that its accuracies are not those of a candidate's own training, so that
    the search checks how well it ranks by training a few candidates further. `predicts` says that
    it only looks at a network: it is then given the candidate's final shape, pruned if it says so.
    `workers` above 1 has `prepare` called in so many processes at once, which are one group of
    torch.distributed; the first of them writes.
    """

    name: ClassVar[str]
    approximate: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    workers: int = 1

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """What is paid once before the search, such as training a supernet.

        All it learns goes into `context.weights`, from where other processes read it; called
        again after an interruption it goes on where it stopped, and does nothing when done.
        Returns what the user should be told, a sentence each.
        """
        return ()

    def approximates(self, context: EstimationContext) -> bool:
        """Whether its accuracies are approximate after all; asked once `prepare` is done."""
        return self.approximate

    @abstractmethod
    def estimate(
        self, network: nn.Module, genotype: Genotype, context: EstimationContext
    ) -> Estimate:
        """Give `network` (freshly built) weights; raises TrainingError."""

    def training_epochs(self, train: TrainConfig) -> tuple[float, float]:
        """Epochs paid once before the search, and for each candidate: what a forecast goes by."""
        return 0.0, float(train.epochs)

    def initial_weights(
        self, genotype: Genotype, context: EstimationContext
    ) -> Mapping[str, Tensor] | None:
        """Weights a finalist starts from, by parameter name; None to start from scratch."""
        return None
