"""What quantizers of a runtime's files share: schemes to make, and images to calibrate with."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from orchestrator.contracts.compressor import ArtifactCompressor, CompressionContext
from orchestrator.contracts.device import Kernel
from orchestrator.contracts.space import Trial
from orchestrator.errors import CompressionError, ConfigError
from orchestrator.records import Choices

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Quantizer"]

# Of the layers that stayed in float so many are named.
_TOLD = 3


class Quantizer(ArtifactCompressor, ABC):
    """Makes a file for each of `schemes`, which are some of `known`; "none" leaves it as it is.

    `calibration_images` are drawn by the context's seed; a preview uses `preview_images`, as its
    weights are random and its ranges need not be good.
    """

    known: ClassVar[tuple[str, ...]] = ("none", "int8")
    preview_images: ClassVar[int] = 8
    # Operators that cost a network's time; the rest moves or scales what these compute.
    heavy: ClassVar[frozenset[str]] = frozenset()
    provides = frozenset({"quantized"})
    conflicts = frozenset({"quantized"})

    def __init__(
        self, *, schemes: tuple[str, ...] = ("none", "int8"), calibration_images: int = 100
    ) -> None:
        if not schemes or not set(schemes) <= set(self.known):
            raise ConfigError(
                f"compressor.{self.name}.schemes: found {list(schemes)}, expected some of "
                f"{', '.join(self.known)}"
            )
        if calibration_images < 1:
            raise ConfigError(
                f"compressor.{self.name}.calibration_images: found {calibration_images}, expected "
                "at least 1"
            )
        self.schemes = tuple(schemes)
        self.calibration_images = calibration_images

    def suggest(self, trial: Trial) -> Choices:
        """{"scheme": "int8"} or {} for none."""
        scheme = trial.suggest_categorical(f"{self.name}.scheme", list(self.schemes))
        return {} if scheme == "none" else {"scheme": scheme}

    def images(self, context: CompressionContext) -> np.ndarray:
        """Those to calibrate with, float32 (N, C, H, W): the first ones alone may be of one class.

        Raises CompressionError where there are none.
        """
        import numpy as np

        images = context.calibration
        if not len(images):
            raise CompressionError(f"{self.name} needs calibration images; found none.")
        count = self.preview_images if context.preview else self.calibration_images
        order = np.random.default_rng(context.seed).permutation(len(images))[:count]
        return np.ascontiguousarray(images[np.sort(order)], dtype=np.float32)

    def refuse_float(self, kernels: Sequence[Kernel], label: str) -> None:
        """Raise CompressionError unless an operator of `heavy` is computed with integers."""
        heavy = [kernel for kernel in kernels if kernel.operator in self.heavy]
        if any(kernel.integer for kernel in heavy):
            return
        stayed = heavy or kernels
        told = ", ".join(f"{kernel.operator} ({kernel.layer})" for kernel in stayed[:_TOLD])
        more = f" and {len(stayed) - _TOLD} more" if len(stayed) > _TOLD else ""
        raise CompressionError(
            f"no layer is computed with integers, so the file is not {label}: {told}{more} stayed "
            "in float. Leave the scheme out for this network."
        )
