"""The inverted residual with linear bottleneck, and attention inside if wanted.

Sandler et al. 2018, arXiv:1801.04381; with squeeze-and-excitation as Tan et al. 2019,
arXiv:1807.11626, and Howard et al. 2019, arXiv:1905.02244.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from orchestrator import outlined
from orchestrator_spaces.blocks.channel_attention import Cbam, Gate, SpatialAttention, attention
from orchestrator_spaces.blocks.convolution import ConvNorm, activation

__all__ = [
    "InvertedResidual",
    "InvertedResidualShape",
    "inverted_residual_layers",
    "spatially_gated_layers",
]


@dataclass(frozen=True)
class InvertedResidualShape:
    """Widths are absolute channel counts.

    `activation` is a key of `ACTIVATIONS`, `attention` one of `ATTENTIONS`; `gate` describes the
    attention and may be None where there is none.
    """

    width_in: int
    expanded: int
    width: int
    kernel: int
    stride: int
    activation: str
    attention: str = "none"
    gate: Gate | None = None


@outlined
class InvertedResidual(nn.Module):
    """1×1 expand, k×k depthwise, attention, 1×1 project without activation.

    There is no expansion where the expanded width equals the input's, and a residual where the
    stride is 1 and the width stays. The attention's layer carries its kind as its name, so that
    two kinds never share a weight.
    """

    def __init__(self, shape: InvertedResidualShape) -> None:
        super().__init__()
        self.residual = shape.stride == 1 and shape.width_in == shape.width
        self.layers = inverted_residual_layers(shape)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) → (B, width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = x + self.layers(x) if self.residual else self.layers(x)
        return x


def inverted_residual_layers(shape: InvertedResidualShape) -> nn.Sequential:
    """What an inverted residual adds to its input."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if shape.expanded != shape.width_in:
        layers["expand"] = ConvNorm(
            shape.width_in, shape.expanded, 1, activation=activation(shape.activation)
        )
    layers["depthwise"] = ConvNorm(
        shape.expanded,
        shape.expanded,
        shape.kernel,
        stride=shape.stride,
        groups=shape.expanded,
        activation=activation(shape.activation),
    )
    if shape.attention != "none":
        assert shape.gate is not None
        layers[shape.attention] = attention(shape.attention, shape.expanded, shape.gate)
    layers["project"] = ConvNorm(shape.expanded, shape.width, 1)
    return nn.Sequential(layers)


def spatially_gated_layers(network: nn.Module) -> list[nn.Module]:
    """The depthwise convolutions of inverted residuals with spatial attention in them.

    Such attention averages over channels, so that a channel less, even a silent one, changes
    what the others give: a space answers these in `fixed_layers`.
    """
    blocks = [module for module in network.modules() if isinstance(module, InvertedResidual)]
    gates = (Cbam, SpatialAttention)
    return [
        block.layers.get_submodule("depthwise.conv")
        for block in blocks
        if any(isinstance(layer, gates) for layer in block.layers)
    ]
