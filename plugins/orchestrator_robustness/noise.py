"""Noise: of electronics, of too little light, of broken pixels.

As all corruptions, functions of images in [0, 1], float32 (N, C, H, W), a severity from 1 to 5 and
a generator; what they give may leave [0, 1].
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]

_DEVIATIONS = (0.04, 0.08, 0.12, 0.18, 0.26)
# Photons that a white pixel counts.
_PHOTONS = (250.0, 100.0, 50.0, 20.0, 8.0)
_BROKEN = (0.01, 0.03, 0.06, 0.12, 0.2)


def gaussian_noise(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Added to each value on its own."""
    return images + _DEVIATIONS[severity - 1] * torch.randn(images.shape, generator=random)


def shot_noise(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Poisson's, of so few photons that they can be counted."""
    photons = _PHOTONS[severity - 1]
    return torch.poisson(images * photons, generator=random) / photons


def impulse_noise(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Some pixels are black, as many are white, in all channels."""
    count, _, height, width = images.shape
    lot = torch.rand((count, 1, height, width), generator=random)
    broken = _BROKEN[severity - 1] / 2
    return torch.where(lot < broken, 0.0, torch.where(lot > 1 - broken, 1.0, images))
