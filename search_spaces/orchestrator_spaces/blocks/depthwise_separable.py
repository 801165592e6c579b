"""The depthwise separable convolution, and attention inside if wanted.

Howard et al., "MobileNets", 2017, arXiv:1704.04861.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from orchestrator import outlined
from orchestrator_spaces.blocks.channel_attention import Cbam, Gate, SpatialAttention, attention
from orchestrator_spaces.blocks.convolution import ConvNorm, activation

__all__ = ["DepthwiseSeparable", "DepthwiseSeparableShape", "spatially_gated"]


@dataclass(frozen=True)
class DepthwiseSeparableShape:
    """Widths are absolute channel counts.

    `activation` is a key of `ACTIVATIONS`, `attention` one of `ATTENTIONS`; `gate` describes the
    attention and may be None where there is none.
    """

    width_in: int
    width: int
    kernel: int
    stride: int
    activation: str
    attention: str = "none"
    gate: Gate | None = None


@outlined
class DepthwiseSeparable(nn.Sequential):
    """k×k depthwise, attention, 1×1 pointwise: (B, width_in, H, W) → (B, width, ⌈H/stride⌉, …).

    The attention's layer carries its kind as its name, so that two kinds never share a weight.
    """

    def __init__(self, shape: DepthwiseSeparableShape) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            depthwise=ConvNorm(
                shape.width_in,
                shape.width_in,
                shape.kernel,
                stride=shape.stride,
                groups=shape.width_in,
                activation=activation(shape.activation),
            )
        )
        if shape.attention != "none":
            assert shape.gate is not None
            layers[shape.attention] = attention(shape.attention, shape.width_in, shape.gate)
        layers["pointwise"] = ConvNorm(
            shape.width_in, shape.width, 1, activation=activation(shape.activation)
        )
        super().__init__(layers)


def spatially_gated(network: nn.Module) -> list[nn.Module]:
    """The depthwise convolutions whose maps spatial attention sees.

    It averages over channels, so that a channel less, even a silent one, changes what the others
    give: a space answers these in `fixed_layers`.
    """
    return [
        block.get_submodule("depthwise.conv")
        for block in network.modules()
        if isinstance(block, DepthwiseSeparable)
        and any(isinstance(layer, (Cbam, SpatialAttention)) for layer in block)
    ]
