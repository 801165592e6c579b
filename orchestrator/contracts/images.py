"""What the images of a network are, and the one normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

from orchestrator.errors import plural
from orchestrator.faults.typed import faults

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

__all__ = ["ImageFacts"]


@dataclass(frozen=True)
class ImageFacts:
    """What a network's images are; `mean` and `deviation` are of pixels scaled to [0, 1].

    Images are square, `image_size` pixels a side. `classes` are the names of what is told apart.
    """

    image_size: int
    in_channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    licence: str = "unknown"

    @classmethod
    def unnamed(cls, image_size: int, *, in_channels: int = 3, classes: int = 10) -> ImageFacts:
        """Facts of images that nobody described: classes are numbers, values lie in [-1, 1]."""
        half = (0.5,) * in_channels
        names = tuple(str(number) for number in range(classes))
        return cls(image_size, in_channels, names, mean=half, deviation=half)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ImageFacts:
        """From what `vars` gave, with lists for tuples; other keys are passed over."""
        own = {field.name: stored[field.name] for field in fields(cls)}
        for name in ("classes", "mean", "deviation"):
            own[name] = tuple(own[name])
        return cls(**own)

    def check(self, *, strict: bool = False) -> None:
        """Raise TypeError or ValueError, naming the field, for what no images can be.

        Where `strict`, nothing stands for another: no text for a number.
        """
        for found in faults(ImageFacts, vars(self), strict=strict):
            raise TypeError(found)
        for name, most in (("image_size", 16_384), ("in_channels", 1024)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected 1 to {most}")
        if not 1 <= len(self.classes) <= 1_000_000:
            raise ValueError(f"classes: found {len(self.classes)}, expected 1 to 1000000")
        for name in ("mean", "deviation"):
            numbers = getattr(self, name)
            if len(numbers) != self.in_channels or not all(map(math.isfinite, numbers)):
                expected = f"a finite number for each of {plural(self.in_channels, 'channel')}"
                raise ValueError(f"{name}: found {list(numbers)}, expected {expected}")
        if min(self.deviation) <= 0:
            raise ValueError(f"deviation: found {min(self.deviation)}, expected more than 0")

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image, (C, H, W)."""
        return (self.in_channels, self.image_size, self.image_size)

    @overload
    def normalise(self, pixels: np.ndarray) -> np.ndarray: ...
    @overload
    def normalise(self, pixels: Tensor) -> Tensor: ...
    def normalise(self, pixels: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """Pixels uint8 (N, C, H, W) as networks want them: float32, mean 0 and deviation 1.

        A tensor stays on its device and keeps its memory format.
        """
        import numpy as np
        import torch

        if isinstance(pixels, np.ndarray):
            scale, shift = _affine(self.mean, self.deviation)
            normalised: np.ndarray = pixels.astype(np.float32) * scale + shift
            return normalised
        onto = _affine_on(self.mean, self.deviation, pixels.device)
        return pixels.to(torch.float32).mul_(onto[0]).add_(onto[1])


@lru_cache(maxsize=16)
def _affine(mean: tuple[float, ...], deviation: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift, float32 (1, C, 1, 1), that turn bytes into normalised values."""
    import numpy as np

    means, deviations = (
        np.asarray(numbers, np.float32).reshape(1, -1, 1, 1) for numbers in (mean, deviation)
    )
    return 1 / (255 * deviations), -means / deviations


@lru_cache(maxsize=16)
def _affine_on(
    mean: tuple[float, ...], deviation: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The same as tensors, kept on the device that asks."""
    import torch

    scale, shift = _affine(mean, deviation)
    return torch.from_numpy(scale).to(device), torch.from_numpy(shift).to(device)
