"""A compressor: what makes a trained network smaller or faster, at one of three stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from orchestrator.contracts.device import Artifact, Device
from orchestrator.contracts.space import SearchSpace, Trial
from orchestrator.records import Choices

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = [
    "ArtifactCompressor",
    "CompressionContext",
    "Compressor",
    "Loss",
    "NetworkCompressor",
    "TrainingCompressor",
]

# images (B, C, H, W) as the network saw them, logits (B, classes), targets (B, classes) → scalar.
# Targets are probabilities, with mixup and label smoothing already in them. A loss with a true
# attribute `per_head` gets logits (B, heads, classes) of networks that have several classifiers
# (see `SearchSpace.build`) and must take both shapes.
Loss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class CompressionContext:
    """What a compressor may use.

    `calibration`: normalised training images, float32 (N, C, H, W), never validation or test.
    `retrain(network, share)` trains in place for that share of the candidate's epochs, with the
    candidate's own loss; None in a preview, where only the structure counts and weights are
    random. `teacher` is in eval mode; None where the configuration gives none.
    """

    space: SearchSpace
    device: Device
    calibration: np.ndarray
    seed: int
    retrain: Callable[[nn.Module, float], None] | None = None
    teacher: nn.Module | None = None


class Compressor(ABC):
    """What all three kinds share.

    The stages always run in the order training, network, artifact; within a stage in the order of
    the configuration. `requires` and `provides` are tags; a factory is legal when each
    compressor's requirements are provided by the device's formats or by one before it, and no
    `conflicts` tag was provided.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[str]] = frozenset()
    provides: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def suggest(self, trial: Trial) -> Choices:
        """How strong, as choices; {} where the draw is "not at all", so that it costs nothing.

        Prefix names with the compressor's own ("pruning.ratio").
        """


class TrainingCompressor(Compressor):
    """Changes what a network is trained towards (distillation)."""

    needs_teacher: ClassVar[bool] = False

    @abstractmethod
    def loss(self, choices: Choices, context: CompressionContext) -> Loss:
        """The loss to train with; raises CompressionError if the context lacks what it needs."""


class NetworkCompressor(Compressor):
    """Changes a trained network's structure or weights (pruning).

    The number of units it leaves may depend on the choices and the structure, not on the weights:
    a candidate's size and latency are learnt from an untrained preview before training is paid.
    """

    @abstractmethod
    def compress(
        self, network: nn.Module, choices: Choices, context: CompressionContext
    ) -> nn.Module:
        """The compressed network; `network` may be changed in place. Raises CompressionError."""


class ArtifactCompressor(Compressor):
    """Changes the compiled file (quantization)."""

    @abstractmethod
    def transform(
        self, artifact: Artifact, choices: Choices, context: CompressionContext
    ) -> Artifact:
        """A new file beside `artifact`, its name telling what was done. Raises CompressionError."""
