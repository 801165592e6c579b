"""An estimator: how a candidate's leading metric becomes known during the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from orchestrator.contracts.checkpoint import Start
from orchestrator.contracts.compressor import Loss
from orchestrator.contracts.dataset import Dataset
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.objective import Objective
from orchestrator.contracts.outputs import Classes, Maps
from orchestrator.contracts.placement import Placement
from orchestrator.contracts.space import SearchSpace
from orchestrator.contracts.task import Task
from orchestrator.measuring.gate import Gate
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = [
    "Estimate",
    "EstimationContext",
    "Estimator",
    "OnEpoch",
    "Trainer",
    "Training",
    "WeightStore",
]

# Epochs done and the leading metric on validation → whether to go on.
OnEpoch = Callable[[int, float], bool]


@dataclass(frozen=True)
class Training:
    """The leading metric on validation after each epoch, and whether `on_epoch` ended it early."""

    curve: tuple[float, ...]
    stopped: bool = False


class Trainer(Protocol):
    """Trains networks by the run's recipe, on its data, where it computes."""

    def __call__(
        self,
        network: nn.Module,
        *,
        epochs: int,
        seed: int,
        loss: Loss | None = None,
        on_epoch: OnEpoch | None = None,
        warm: bool = False,
        images: int | None = None,
    ) -> Training:
        """Train `network` in place; raises TrainingError.

        `loss` defaults to the task's. `warm` says that the whole network, its head too, was
        trained on these images before, not that it starts from weights of others under a new head:
        a short training then takes smaller steps. Of `images` there are so many in an epoch at
        most, drawn anew for each; None for all.
        """


class WeightStore(Protocol):
    """Trained weights of a run, one entry an architecture, whatever its compression."""

    def keep(self, network: nn.Module, genotype: Genotype) -> None:
        """Keep a network's weights; raises RunError where they cannot be written."""

    def load(self, genotype: Genotype) -> Mapping[str, Tensor] | None:
        """What was kept, None where nothing was; raises RunError for a damaged file."""


@dataclass(frozen=True)
class EstimationContext:
    """What an estimator may use; enough to train, judge and keep networks.

    `weights` is the run's folder for what else an estimator learns. `on_epoch` is called after
    each epoch and returns False to stop a hopeless candidate; `on_progress(done, total)` while
    something is prepared; `loss` is the candidate's own where a compressor changed it, None for
    the task's. `start` gives networks the trained weights the search starts from, None where it
    starts from noise; a network handed to `estimate` has them already. `judge(network)` gives the
    leading metric on validation. `gate` is held, a batch at a time, by whatever computes without
    the trainer or the judge. `objectives` are those that the estimator asks for by
    `Estimator.objectives`.
    """

    space: SearchSpace
    dataset: Dataset
    train: TrainConfig
    weights: Path
    seed: int
    task: Task
    trainer: Trainer
    judge: Callable[[nn.Module], float]
    store: WeightStore
    placement: Placement = field(default_factory=Placement)
    gate: Gate | None = None
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    loss: Loss | None = None
    start: Start | None = None
    on_epoch: OnEpoch | None = None
    on_progress: Callable[[int, int], None] | None = None

    @property
    def facts(self) -> ImageFacts:
        """What the images are."""
        return self.dataset.facts


@dataclass(frozen=True)
class Estimate:
    """A network with usable weights, and its leading metric on validation epoch by epoch.

    Where the weights are not usable, because that was predicted without training, `predicted` is
    the prediction; otherwise the exported file itself is asked.
    """

    network: nn.Module
    curve: tuple[float, ...]
    stopped: bool = False
    predicted: float | None = None


class Estimator(ABC):
    """Training, weight sharing, or a proxy.

    `approximate` says that its figures are not those of a candidate's own training, so that the
    search checks how well it ranks by training a few candidates further. `predicts` says that
    it only looks at a network: it is then given the candidate's final shape, pruned if it says so.
    `workers` above 1 has `prepare` called in so many processes at once, which are one group of
    torch.distributed; the first of them writes. `objectives` names installed static objectives
    that it asks; instances of them come in `context.objectives`. `needs_start` says that it works
    on trained weights alone; `serves` are the kinds of outputs whose networks it can estimate.
    `most_images` is how many training images an epoch of a candidate has at most, None for all
    there are: a forecast goes by it.
    """

    name: ClassVar[str]
    approximate: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    needs_start: ClassVar[bool] = False
    serves: ClassVar[frozenset[type]] = frozenset({Classes, Maps})
    workers: int = 1
    most_images: int | None = None
    objectives: tuple[str, ...] = ()

    def prepare(self, context: EstimationContext) -> Sequence[str]:
        """What is paid once before the search, such as training a supernet.

        All it learns goes into `context.weights`, from where other processes read it; called
        again after an interruption it goes on where it stopped, and does nothing when done.
        Returns what the user should be told, a sentence each.
        """
        return ()

    def approximates(self, context: EstimationContext) -> bool:
        """Whether its figures are approximate after all; asked once `prepare` is done."""
        return self.approximate

    def foretells(self, context: EstimationContext) -> bool:
        """Whether it only looks at a network after all; asked once `prepare` is done."""
        return self.predicts

    def sees(self, context: EstimationContext) -> int | None:
        """`most_images` after all, to which retraining after pruning keeps; asked like these."""
        return self.most_images

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
