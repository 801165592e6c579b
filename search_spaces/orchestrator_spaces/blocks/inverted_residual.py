"""The inverted residual with squeeze-and-excitation.

Sandler et al. 2018, arXiv:1801.04381; with the gate of Howard et al. 2019, arXiv:1905.02244.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from orchestrator_spaces.blocks.convolution import ACTIVATIONS, ConvNorm, round_to_8

__all__ = ["InvertedResidual", "InvertedResidualShape", "SqueezeExcitation"]


@dataclass(frozen=True)
class InvertedResidualShape:
    """Widths are absolute channel counts; `activation` is a key of `ACTIVATIONS`."""

    width_in: int
    expanded: int
    width: int
    kernel: int
    stride: int
    se: bool
    activation: str


class SqueezeExcitation(nn.Module):
    """Channels weighted by a gate in [0, 1] computed from their means (Hu et al. 2018).

    The squeeze is a quarter of the channels, rounded to 8; the gate is a hard sigmoid.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = round_to_8(width / 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.activation = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(squeezed, width, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        weights = self.pool(x)  # (B, C, 1, 1)
        weights = self.excite(self.activation(self.squeeze(weights)))
        return x * self.gate(weights)  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """1×1 expand, k×k depthwise, squeeze-and-excitation, 1×1 project without activation.

    There is no expansion where the expanded width equals the input's, and a residual where the
    stride is 1 and the width stays.
    """

    def __init__(self, shape: InvertedResidualShape) -> None:
        super().__init__()
        self.residual = shape.stride == 1 and shape.width_in == shape.width
        activation = ACTIVATIONS[shape.activation]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if shape.expanded != shape.width_in:
            layers["expand"] = ConvNorm(
                shape.width_in, shape.expanded, 1, activation=activation(inplace=True)
            )
        layers["depthwise"] = ConvNorm(
            shape.expanded,
            shape.expanded,
            shape.kernel,
            stride=shape.stride,
            groups=shape.expanded,
            activation=activation(inplace=True),
        )
        if shape.se:
            layers["se"] = SqueezeExcitation(shape.expanded)
        layers["project"] = ConvNorm(shape.expanded, shape.width, 1)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) → (B, width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return x + self.layers(x) if self.residual else self.layers(x)  # type: ignore[no-any-return]
