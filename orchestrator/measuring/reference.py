"""The network that others' latency is compared with, for every runtime to write in its own form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

__all__ = ["REFERENCE_IMAGE", "ReferenceWeights", "reference_network", "reference_weights"]

# (C, H, W) of the one image that it takes.
REFERENCE_IMAGE = (3, 64, 64)

_CLASSES = 10
# (inputs, outputs, stride) of 3×3 convolutions.
_CONVOLUTIONS = (
    (3, 32, 2),
    (32, 64, 2),
    *[(64, 64, 1)] * 3,
    (64, 128, 2),
    (128, 128, 1),
)


@dataclass(frozen=True)
class ReferenceWeights:
    """What it is made of: float32, from a fixed seed.

    `convolutions` are kernels (out, in, 3, 3) with their strides, each padded by 1, without a bias,
    and followed by a ReLU; then the mean over the image, and `classifier` (features, classes).
    """

    convolutions: Sequence[tuple[np.ndarray, int]]
    classifier: np.ndarray


def reference_weights() -> ReferenceWeights:
    """48 M multiply-adds, about half a millisecond on one core of a server.

    Fixed for ever: changing it makes all latencies of earlier runs incomparable.
    """
    random = np.random.default_rng(20_240_101)
    convolutions = [
        (_normal(random, (outputs, inputs, 3, 3), inputs * 9), stride)
        for inputs, outputs, stride in _CONVOLUTIONS
    ]
    features = _CONVOLUTIONS[-1][1]
    return ReferenceWeights(convolutions, _normal(random, (features, _CLASSES), features))


def reference_network() -> nn.Module:
    """It as a module, (B, 3, 64, 64) → (B, 10), in eval mode."""
    import torch
    from torch import nn

    made = reference_weights()
    layers: list[nn.Module] = []
    for kernel, stride in made.convolutions:
        outputs, inputs = kernel.shape[:2]
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        convolution.weight.data = torch.from_numpy(kernel)
        layers += [convolution, nn.ReLU()]
    features, classes = made.classifier.shape
    classifier = nn.Linear(features, classes, bias=False)
    classifier.weight.data = torch.from_numpy(made.classifier.T.copy())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier).eval()


def _normal(random: np.random.Generator, shape: tuple[int, ...], inputs: int) -> np.ndarray:
    return (random.standard_normal(shape) * math.sqrt(2 / inputs)).astype(np.float32)
