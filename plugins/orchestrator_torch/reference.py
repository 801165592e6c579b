"""The network that others' latency is compared with: fixed for ever, 48 M multiply-adds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["EXAMPLE", "reference_network"]

EXAMPLE = torch.zeros(1, 3, 64, 64)

_CLASSES = 10
# (inputs, outputs, stride) of 3×3 convolutions, each with a ReLU.
_CONVOLUTIONS = (
    (3, 32, 2),
    (32, 64, 2),
    *[(64, 64, 1)] * 3,
    (64, 128, 2),
    (128, 128, 1),
)


def reference_network() -> nn.Module:
    """(B, 3, 64, 64) → (B, 10), weights of a fixed seed.

    Changing it makes all latencies of earlier runs incomparable.
    """
    random = torch.Generator().manual_seed(20_240_101)
    layers: list[nn.Module] = []
    for inputs, outputs, stride in _CONVOLUTIONS:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        _fill(convolution.weight, inputs * 9, random)
        layers += [convolution, nn.ReLU()]
    classifier = nn.Linear(_CONVOLUTIONS[-1][1], _CLASSES, bias=False)
    _fill(classifier.weight, classifier.in_features, random)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier]
    return nn.Sequential(*layers).eval()


def _fill(weight: Tensor, inputs: int, random: torch.Generator) -> None:
    values = torch.randn(weight.shape, generator=random) * math.sqrt(2 / inputs)
    weight.data.copy_(values)
