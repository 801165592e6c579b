"""Blur: of the whole, of a lens out of focus, of a hand that moves.

Widths are shares of the image's side, so that a severity is the same at 32 and at 224 pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

__all__ = ["defocus_blur", "gaussian_blur", "motion_blur", "streaked"]

_SIGMAS = (0.008, 0.014, 0.02, 0.03, 0.045)
_RADII = (0.012, 0.02, 0.03, 0.042, 0.06)
_LENGTHS = (0.04, 0.07, 0.1, 0.14, 0.2)
_ANGLE = math.radians(30)


def gaussian_blur(images: Tensor, severity: int, random: Generator) -> Tensor:
    """With a normal distribution."""
    sigma = _SIGMAS[severity - 1] * _side(images)
    away = _distances(max(1, math.ceil(3 * sigma)))
    return _filtered(images, torch.exp(-(away**2) / (2 * sigma**2)))


def defocus_blur(images: Tensor, severity: int, random: Generator) -> Tensor:
    """With a disc, its rim smoothed over a pixel."""
    radius = _RADII[severity - 1] * _side(images)
    away = _distances(math.ceil(radius + 0.5))
    return _filtered(images, (radius + 0.5 - away).clamp(0, 1))


def motion_blur(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Along a line, 30° from the horizontal."""
    return streaked(images, _LENGTHS[severity - 1], _ANGLE)


def streaked(images: Tensor, length: float, angle: float) -> Tensor:
    """Each pixel drawn out along a line of so much of the side, at an angle in radians."""
    half = max(0.5, length * _side(images) / 2)
    reach = math.ceil(half)
    x, y = _grid(reach)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    kernel = (half + 0.5 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp(0, 1)
    return _filtered(images, kernel)


def _side(images: Tensor) -> int:
    return min(images.shape[-2:])


def _grid(reach: int) -> tuple[Tensor, Tensor]:
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return x, y


def _distances(reach: int) -> Tensor:
    """(2 reach + 1, 2 reach + 1), from the middle."""
    x, y = _grid(reach)
    return torch.hypot(x, y)


def _filtered(images: Tensor, kernel: Tensor) -> Tensor:
    """Each channel alone; beyond its rim an image goes on as its last pixels are."""
    channels, reach = images.shape[1], kernel.shape[0] // 2
    weight = (kernel / kernel.sum()).expand(channels, 1, *kernel.shape)
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(padded, weight, groups=channels)
