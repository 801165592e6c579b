"""The kinds of corruption by name, and one kind at one severity as a change of images."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from orchestrator_robustness.blur import defocus_blur, gaussian_blur, motion_blur
from orchestrator_robustness.digital import contrast, jpeg, pixelate
from orchestrator_robustness.noise import gaussian_noise, impulse_noise, shot_noise
from orchestrator_robustness.weather import brightness, fog, snow

__all__ = ["KINDS", "SEVERITIES", "Corruption"]

SEVERITIES = (1, 2, 3, 4, 5)
# All leave things where they are, so that a mask still fits.
KINDS: Mapping[str, Callable[[Tensor, int, Generator], Tensor]] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "gaussian_blur": gaussian_blur,
    "defocus_blur": defocus_blur,
    "motion_blur": motion_blur,
    "fog": fog,
    "snow": snow,
    "brightness": brightness,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg": jpeg,
}


@dataclass(frozen=True)
class Corruption:
    """One kind at one severity, from 1 to 5; the same images always become the same."""

    kind: str
    severity: int

    def __call__(self, pixels: np.ndarray, first: int) -> np.ndarray:
        """uint8 (N, C, H, W) of the split's images from `first` on → the same, corrupted."""
        random = Generator().manual_seed(zlib.crc32(f"{self.kind} {first}".encode()))
        images = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
        changed = KINDS[self.kind](images, self.severity, random)
        found: np.ndarray = (changed.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return found
