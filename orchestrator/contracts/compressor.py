"""A compressor: what makes a trained network smaller or faster, at one of three stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from orchestrator.contracts.device import Artifact, Device
from orchestrator.contracts.space import SearchSpace, Trial
from orchestrator.contracts.task import Task
from orchestrator.records import Choices

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = [
    "ArtifactCompressor",
    "Change",
    "CompressionContext",
    "Compressor",
    "Loss",
    "NetworkCompressor",
    "Retrain",
    "TrainingCompressor",
    "labels_loss",
]

# images (B, C, H, W) as the network saw them, its answer, targets → scalar. A classifier answers
# logits (B, classes), and targets (B, classes) are probabilities, with mixup and label smoothing
# already in them. A loss with a true attribute `per_head` gets logits (B, heads, classes) of
# networks that have several classifiers (see `SearchSpace.build`) and must take both shapes. A loss
# that looks into the network has a method `watching(network)`, a context manager that is entered
# around a training; one that wraps another keeps that as its attribute `before`.
Loss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]

# What a compressor may change: shapes of tensors, values of weights, what a file holds beside.
Change = Literal["shapes", "values", "file"]


def labels_loss(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, classes, …) with targets of the same shape."""
    from torch.nn import functional

    return functional.cross_entropy(logits, targets)


class Retrain(Protocol):
    """Trains a network further."""

    def __call__(
        self,
        network: nn.Module,
        share: float,
        *,
        loss: Loss | None = None,
        steps: int | None = None,
    ) -> None:
        """In place, for that share of the candidate's epochs, at least one.

        An epoch has `Estimator.most_images` at most while candidates are estimated.
        `loss` takes the place of the candidate's own. After `steps` batches, where they are given,
        it ends whatever the share.
        """


@dataclass(frozen=True)
class CompressionContext:
    """What a compressor may use.

    `calibration`: normalised training images, float32 (N, C, H, W), never validation or test: as
    many as `Compressor.calibration_images` asks for, at least 128, and at most all there are;
    `targets` are the dataset's for them, int64 (N, …).
    `preview`: only the structure counts, as weights are random; nothing can be trained or judged.
    `retrain` trains further with the candidate's own loss; None in a preview. `judge(network or
    artifact)` is the task's leading metric on the validation split, such as accuracy in [0, 1]; it
    costs a pass over that split, and is None in a preview. `loss` is the one before, which a
    TrainingCompressor wraps; a NetworkCompressor gets the candidate's own, and `taught` says
    whether that follows a teacher. `teacher` is in eval mode; None where the configuration gives
    none, and in a preview. `views` is how many different images training makes of one, None where
    there is no end of them. `ranges` maps names to what one step learns and a later one writes
    (activation ranges, JSON values); the bundle keeps it. `report` takes what people should be
    told, name → figure or text, such as what a step achieved of what was asked: names begin with
    the compressor's ("pruning.achieved"); record and card show it. `network`, given to an
    ArtifactCompressor alone, is what the file was compiled of, in eval mode and on the CPU: for
    formats that are quantized before they are lowered. It must be left as it is.
    """

    space: SearchSpace
    device: Device
    calibration: np.ndarray
    seed: int
    retrain: Retrain | None = None
    teacher: nn.Module | None = None
    loss: Loss = labels_loss
    preview: bool = False
    judge: Callable[[nn.Module | Artifact], float] | None = None
    ranges: MutableMapping[str, Any] = field(default_factory=dict)
    task: Task | None = None
    network: nn.Module | None = None
    targets: np.ndarray | None = None
    taught: bool = False
    views: int | None = None
    report: MutableMapping[str, Any] = field(default_factory=dict)

    def fixed_layers(self, network: nn.Module) -> list[nn.Module]:
        """Layers whose number of outputs pruning must not change: the space's and the task's."""
        head = () if self.task is None else self.task.fixed_layers(network)
        return [*self.space.fixed_layers(network), *head]


class Compressor(ABC):
    """What all three kinds share.

    The kind says when: training, then network, then artifact. Within a stage the order is part of
    the genotype. `requires` and `provides` are tags; an order is legal when what each step
    requires is provided by the device's formats or by a step before it, and no tag it `conflicts`
    with was provided. `changes` is what it may change.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset()
    provides: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    changes: ClassVar[frozenset[Change]] = frozenset({"shapes", "values", "file"})

    # How many calibration images it wants; the search says so where there are not so many.
    calibration_images: int = 0

    @abstractmethod
    def suggest(self, trial: Trial) -> Choices:
        """How strong, as choices; {} where the draw is "not at all", so that it costs nothing.

        Prefix names with the compressor's own ("pruning.ratio"). Where a configuration names it
        otherwise, or has two of it, the study gives each name its own prefix.
        """


class TrainingCompressor(Compressor):
    """Changes what a network is trained towards (distillation)."""

    needs_teacher: ClassVar[bool] = False
    changes: ClassVar[frozenset[Change]] = frozenset({"values"})

    @abstractmethod
    def loss(self, choices: Choices, context: CompressionContext) -> Loss:
        """The loss to train with, which holds `context.loss` in it so that several compose.

        Raises CompressionError if the context lacks what it needs.
        """


class NetworkCompressor(Compressor):
    """Changes a trained network's structure or weights (pruning).

    The number of units it leaves may depend on the choices and the structure, not on the weights:
    a candidate's size and latency are learnt from an untrained preview before training is paid.
    Where it must depend on them, `foreseen` is False: a preview is then the smallest that the
    network may become, so that what it breaks is broken anyway, and the trained one's own figures
    count.
    """

    foreseen: bool = True
    changes: ClassVar[frozenset[Change]] = frozenset({"shapes", "values"})

    @abstractmethod
    def compress(
        self, network: nn.Module, choices: Choices, context: CompressionContext
    ) -> nn.Module:
        """The compressed network; `network` may be changed in place. Raises CompressionError."""


class ArtifactCompressor(Compressor):
    """Changes the compiled file (quantization)."""

    changes: ClassVar[frozenset[Change]] = frozenset({"file"})

    def foresees(self, choices: Choices) -> bool:
        """Whether a preview's file is as fast as that of the trained network, as it most often is.

        Not where weights decide what is done, such as which layers stay in float.
        """
        return True

    @abstractmethod
    def transform(
        self, artifact: Artifact, choices: Choices, context: CompressionContext
    ) -> Artifact:
        """A new file beside `artifact`, `Artifact.label` saying what was done ("int8").

        `exact` stays true only where the file still is the very same function. Raises
        CompressionError.
        """
