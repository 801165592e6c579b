"""Attention on the channels and the places of a map: cheap gates inside convolutional blocks.

Squeeze-and-excitation: Hu et al. 2018, arXiv:1709.01507. Channel, spatial and mixed attention:
Woo et al., "CBAM", 2018, arXiv:1807.06521.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator import outlined
from orchestrator_spaces.blocks.convolution import activation

__all__ = [
    "ATTENTIONS",
    "Cbam",
    "ChannelAttention",
    "Gate",
    "SpatialAttention",
    "SqueezeExcitation",
    "attention",
]

# What a space may offer as a block's attention.
ATTENTIONS = ("none", "se", "channel", "spatial", "cbam")

_SIGMOIDS = {"sigmoid": nn.Sigmoid, "hardsigmoid": nn.Hardsigmoid}


@dataclass(frozen=True)
class Gate:
    """A gate's hidden width, its inner activation and its "sigmoid" or "hardsigmoid"."""

    squeezed: int
    activation: str = "relu"
    sigmoid: str = "hardsigmoid"


@outlined
class SqueezeExcitation(nn.Module):
    """Channels weighted by a gate in [0, 1] computed from their means."""

    def __init__(self, width: int, gate: Gate) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(width, gate.squeezed, 1)
        self.activation = activation(gate.activation)
        self.excite = nn.Conv2d(gate.squeezed, width, 1)
        self.gate = _SIGMOIDS[gate.sigmoid]()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        weights = self.pool(x)  # (B, C, 1, 1)
        weights = self.excite(self.activation(self.squeeze(weights)))
        x = x * self.gate(weights)
        return x


@outlined
class ChannelAttention(SqueezeExcitation):
    """Squeeze-and-excitation that sees the channels' means and their maxima, with one MLP."""

    def __init__(self, width: int, gate: Gate) -> None:
        super().__init__(width, gate)
        self.peak = nn.AdaptiveMaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        mean, peak = (
            self.excite(self.activation(self.squeeze(pool(x)))) for pool in (self.pool, self.peak)
        )
        x = x * self.gate(mean + peak)
        return x


@outlined
class SpatialAttention(nn.Module):
    """Places weighted by a gate in [0, 1] computed from the mean and maximum over channels."""

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        seen = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)  # (B, 2, H, W)
        x = x * self.gate(self.conv(seen))
        return x


@outlined
class Cbam(nn.Sequential):
    """Channel attention, then spatial attention."""

    def __init__(self, width: int, gate: Gate) -> None:
        super().__init__(
            OrderedDict(channel=ChannelAttention(width, gate), spatial=SpatialAttention())
        )


def attention(kind: str, width: int, gate: Gate) -> nn.Module:
    """The layer that `kind`, one of `ATTENTIONS` but "none", stands for."""
    if kind == "spatial":
        return SpatialAttention()
    return {"se": SqueezeExcitation, "channel": ChannelAttention, "cbam": Cbam}[kind](width, gate)
