"""What weather does, without the geometry of a scene: fog, snow, glare."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from orchestrator_robustness.blur import streaked

__all__ = ["brightness", "fog", "snow"]

_THICKNESS = (0.2, 0.32, 0.44, 0.56, 0.68)
# (share of pixels where a flake begins, how much the scene pales)
_FALLS = ((0.01, 0.08), (0.02, 0.14), (0.035, 0.2), (0.05, 0.26), (0.08, 0.32))
_LIGHT = (0.08, 0.16, 0.24, 0.34, 0.45)
_OCTAVES = 4
_FLAKE, _WIND = 0.06, math.radians(65)


def fog(images: Tensor, severity: int, random: Generator) -> Tensor:
    """A veil, thicker here than there, that is brighter than most of what it hides."""
    cloud = _clouds(images, random)
    veil = _THICKNESS[severity - 1] * (0.6 + 0.4 * cloud)
    return images * (1 - veil) + veil * (0.75 + 0.15 * cloud)


def snow(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Streaks of white over a paler scene."""
    share, pale = _FALLS[severity - 1]
    count, _, height, width = images.shape
    begins = torch.rand((count, 1, height, width), generator=random) < share
    flakes = (streaked(begins.float(), _FLAKE, _WIND) * 3).clamp(0, 1)
    paler = images + pale * (1 - images)
    return paler + flakes * (1 - paler)


def brightness(images: Tensor, severity: int, random: Generator) -> Tensor:
    """More light than the camera can take."""
    return images + _LIGHT[severity - 1]


def _clouds(images: Tensor, random: Generator) -> Tensor:
    """Smooth noise in [0, 1], (N, 1, H, W): grids of 2, 4, 8 and 16, each half as strong."""
    count, size = images.shape[0], images.shape[-2:]
    total = torch.zeros((count, 1, *size))
    for octave in range(1, _OCTAVES + 1):
        grid = torch.rand((count, 1, 2**octave, 2**octave), generator=random)
        total += F.interpolate(grid, size=size, mode="bilinear") / 2**octave
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - low) / (high - low).clamp_min(1e-6)
