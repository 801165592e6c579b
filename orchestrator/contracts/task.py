"""A task: what networks are for, how their answers are scored, and when two are the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.objective import Direction
from orchestrator.contracts.outputs import Outputs
from orchestrator.contracts.space import SearchSpace, Trial
from orchestrator.records import Architecture, Choices

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from orchestrator.config import TrainConfig

__all__ = ["Batch", "Judge", "Metric", "Task"]


@dataclass(frozen=True)
class Metric:
    """A figure of how well answers fit their targets; a `unit` "share" is in [0, 1].

    `of_images` says that it is the share of so many images, each right or wrong, so that their
    number tells how exact it is.
    """

    name: str
    unit: str = "share"
    direction: Direction = "maximize"
    of_images: bool = False


@dataclass(frozen=True)
class Batch:
    """Samples as the dataset gives them, on the device that trains.

    `pixels` uint8 (B, C, H, W), `targets` (B, …); `mirror` says whether images may be mirrored,
    `side` how many pixels a side the network's images shall have. `weights` float32 (classes,) say
    what an image, or a pixel, of each class counts in the loss; None: all as much.
    """

    pixels: Tensor
    targets: Tensor
    facts: ImageFacts
    mirror: bool
    side: int
    weights: Tensor | None = None


class Judge(ABC):
    """Scores answers batch by batch, so that no split's answers lie in memory at once.

    `count` is how many images were scored, which tells how exact the figures are.
    """

    count: int = 0

    @abstractmethod
    def add(self, answers: Tensor, targets: Tensor) -> None:
        """Score a batch: a network's answers (B, …) and the dataset's targets (B, …)."""

    @abstractmethod
    def figures(self) -> Mapping[str, float]:
        """Every figure of the task by name (`Task.figures`), of all that was added."""

    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """Class → figures of that class, "count" (images or pixels) among them; may be empty.

        A share of "count" images that is called as a metric of images (`Metric.of_images`) is
        shown with its interval.
        """
        return {}

    def confusions(self) -> Sequence[tuple[str, str, int]]:
        """(class that is true, class answered, how many images or pixels) of each pair that occurs.

        Empty where a task has no such thing."""
        return ()


class Task(ABC):
    """What networks are for. Options come as keyword arguments of the constructor.

    The first of `metrics` leads: it is a share that is to be large, and curves, early stops, the
    checks of an estimator and the "most accurate" pick speak of it. The others are known of
    trained networks only. A plugin offers each as an objective of its name (`MetricObjective`).
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    # Whether its networks are a head of its own on a space's features, not the space's classifier.
    on_features: ClassVar[bool] = False
    # Whether its `batch` heeds the weights of classes that it is given.
    weighs_classes: ClassVar[bool] = False

    @property
    def leading(self) -> Metric:
        """The metric that leads."""
        return self.metrics[0]

    @abstractmethod
    def outputs(self, facts: ImageFacts) -> Outputs:
        """What a network answers, for images of these facts; a space says what it serves."""

    def suggest(self, trial: Trial) -> Choices:
        """Draw the task's own head, names prefixed "head."; {} where there is nothing to choose."""
        return {}

    def build(
        self, space: SearchSpace, architecture: Architecture, head: Choices, facts: ImageFacts
    ) -> nn.Module:
        """The whole network, from (B, C, H, W) to the task's answers; raises BuildError.

        Weights are drawn from torch's global generator.
        """
        return space.build(architecture, facts, self.outputs(facts))

    @abstractmethod
    def batch(
        self, batch: Batch, rng: np.random.Generator, recipe: TrainConfig
    ) -> tuple[Tensor, Tensor]:
        """Images float32 (B, C, side, side), normalised and augmented, and what `loss` takes.

        What moves the images moves their targets along. All randomness comes from `rng`.
        """

    @abstractmethod
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        """A scalar to minimise, of a network's answer and the targets of `batch` or `taught`."""

    def taught(self, answer: Tensor) -> Tensor:
        """Targets that make another network learn this answer, (B, classes, …) probabilities."""
        return answer.detach().softmax(1)

    @abstractmethod
    def judge(self, facts: ImageFacts) -> Judge:
        """A judge that has seen nothing yet."""

    def figures(self, facts: ImageFacts) -> tuple[str, ...]:
        """What its judge tells, by name: the metrics, and what else an objective may ask for."""
        return tuple(metric.name for metric in self.metrics)

    @abstractmethod
    def distance(self, first: Tensor, second: Tensor) -> float:
        """The share in [0, 1] of two networks' answers to the same images that differ.

        Over several batches it is averaged by their number of images.
        """

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """Layers of its own head whose number of outputs pruning must not change.

        What gives a logit for each class belongs here; the space knows those of the rest.
        """
        return ()

    def pictures(self, batch: Batch, answers: Tensor) -> Sequence[Mapping[str, str]]:
        """For people: of each image of `batch` what is shown → the data URI of a small PNG.

        `answers` are a network's (B, …). Empty where a picture tells nothing that a figure does
        not. Of a finalist they are asked for the images that `wrongness` is largest for.
        """
        return ()

    def wrongness(self, answers: Tensor, targets: Tensor) -> Tensor:
        """How wrong a network's answers (B, …) are, one number an image (B,); 0 is shown to nobody.

        By default every image is as worth showing as the next.
        """
        return answers.new_ones(len(targets))

    def colours(self, facts: ImageFacts) -> Mapping[str, str]:
        """Class → its colour in `pictures`, such as "#80c000"; may be empty."""
        return {}

    def chance(self, facts: ImageFacts) -> float:
        """The leading metric of a network that knows nothing."""
        return 0.0
