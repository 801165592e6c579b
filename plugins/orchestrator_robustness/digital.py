"""What processing does: flat contrast, few pixels, strong compression."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

__all__ = ["contrast", "jpeg", "pixelate"]

_CONTRASTS = (0.75, 0.5, 0.4, 0.3, 0.15)
_SHARES = (0.7, 0.55, 0.42, 0.32, 0.22)
_QUALITIES = (40, 25, 15, 10, 6)
_BLOCK = 8
# Steps of luminance at quality 50, as the JPEG standard suggests (ITU-T T.81, 1992, table K.1).
_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def contrast(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Closer to the image's mean."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + _CONTRASTS[severity - 1] * (images - mean)


def pixelate(images: Tensor, severity: int, random: Generator) -> Tensor:
    """Shrunk, and enlarged again by repeating pixels."""
    size = (int(images.shape[-2]), int(images.shape[-1]))
    few = tuple(max(1, round(_SHARES[severity - 1] * side)) for side in size)
    return F.interpolate(
        F.interpolate(images, size=few, mode="area"), size=size, mode="nearest-exact"
    )


def jpeg(images: Tensor, severity: int, random: Generator) -> Tensor:
    """What JPEG loses of each channel: 8×8 blocks of a cosine transform, rounded to coarse steps.

    Channels are coded as they are, by the steps of luminance.
    """
    height, width = images.shape[-2:]
    rest = (0, -width % _BLOCK, 0, -height % _BLOCK)
    padded = F.pad(images, rest, mode="replicate") * 255 - 128
    blocks = padded.unfold(2, _BLOCK, _BLOCK).unfold(3, _BLOCK, _BLOCK)
    basis, steps = _cosines(), _steps(_QUALITIES[severity - 1])
    coded = torch.round(basis @ blocks @ basis.T / steps) * steps
    decoded = (basis.T @ coded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)
    return ((decoded + 128) / 255)[..., :height, :width]


def _cosines() -> Tensor:
    """The orthonormal cosine transform (8, 8)."""
    place = torch.arange(_BLOCK, dtype=torch.float32)
    basis = torch.cos((2 * place[None] + 1) * place[:, None] * math.pi / (2 * _BLOCK)) / 2
    basis[0] /= math.sqrt(2)
    return basis


def _steps(quality: int) -> Tensor:
    """Of a quality in percent, by the rule of the Independent JPEG Group's coder."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(_STEPS, dtype=torch.float32) * scale + 50) / 100).floor().clamp(1, 255)
