"""NASWOT: how well an untrained network tells images apart by which units they switch on.

J. Mellor, J. Turner, A. Storkey, E. J. Crowley 2021, "Neural Architecture Search without
Training", arXiv:2006.04647; code: github.com/BayesWatch/nas-without-training.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError, ConfigError
from orchestrator_proxies.images import training_images
from orchestrator_proxies.untrained import untrained

__all__ = ["Naswot"]

# Operators that pass what is positive and damp the rest, under their names in torch.ops.aten.
_RECTIFIERS = frozenset(
    {
        "relu", "hardtanh", "leaky_relu", "_prelu_kernel", "prelu", "rrelu_with_noise",
        "threshold", "clamp_min", "elu", "celu", "softplus",
        "gelu", "silu", "mish", "hardswish",
    }
)  # fmt: skip
# Of the number of units, added to the diagonal: images with equal codes have a score too.
_RIDGE = 1e-6


class Naswot(Objective):
    """log |det K|, where K counts for each pair of images the units in the same state.

    The paper knows ReLU, whose unit is on or off. GELU, SiLU, Hardswish and the other rectifiers
    switch softly at (about) the same place, so a unit is on where its activation's input is
    positive; sigmoid, tanh and softmax switch nothing and are left out. Activations are seen
    where they are computed, as a layer or as a function. Cost: 64 images forward.
    """

    name = "naswot"
    unit = "score"
    direction = "maximize"
    tier = "static"
    summary: ClassVar[str] = "zero-cost proxy: log-determinant of activation patterns (NASWOT)"

    def __init__(self, *, images: int = 64) -> None:
        if images < 2:
            raise ConfigError(f"objective.naswot.images: found {images}, expected at least 2.")
        self.training_images = images

    def measure(self, subject: Subject) -> float:
        """The score; raises CandidateError without images or activations."""
        images, _ = training_images(subject, self.training_images, self.name)
        codes = _Codes(len(images))
        with untrained(subject.network, "he") as network, torch.no_grad(), codes:
            network(images)
        if not codes.units:
            raise CandidateError(
                "naswot found no rectifier such as ReLU, GELU or SiLU, so no unit switches on or "
                "off. Use zen or synflow for this network."
            )
        kernel = (codes.units + codes.agreement) / 2
        kernel += _RIDGE * codes.units * torch.eye(len(images), dtype=torch.float64)
        return float(torch.linalg.slogdet(kernel).logabsdet)


class _Codes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums over all units the products of two images' states, 1 for on and -1 for off."""

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.units = 0
        self.agreement = torch.zeros(images, images, dtype=torch.float64)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__.rstrip("_") in _RECTIFIERS:
            # Before it runs: it may write over its input.
            self._count(args[0])
        return func(*args, **(kwargs or {}))

    def _count(self, inputs: Tensor) -> None:
        if inputs.shape[0] % len(self.agreement):
            return  # what does not depend on the image, such as a table of position biases
        # Windows of an image follow one another in the first dimension.
        states = (inputs > 0).reshape(len(self.agreement), -1).to(torch.float32).mul_(2).sub_(1)
        self.agreement += states @ states.T
        self.units += states.shape[1]
