"""Image files as squares of bytes, and the parts of them that training sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from orchestrator import PixelRecipe
from orchestrator.errors import DataError

__all__ = ["Crop", "decode"]

_ASPECT = 4 / 3


@dataclass(frozen=True)
class Crop:
    """A part of an image: its share of the area, width over height, and where it lies in [0, 1]."""

    area: float
    aspect: float
    left: float
    top: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, least_area: float) -> Crop:
        """Four numbers whatever the image, so that the next image's do not depend on it."""
        area = float(rng.uniform(least_area, 1.0))
        aspect = math.exp(float(rng.uniform(-math.log(_ASPECT), math.log(_ASPECT))))
        left, top = (float(number) for number in rng.random(2))
        return cls(area, aspect, left, top)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in an image of that size, nowhere beyond it."""
        area = self.area * width * height
        wide, high = math.sqrt(area * self.aspect), math.sqrt(area / self.aspect)
        wide, high = min(wide, width), min(high, height)
        left, top = self.left * (width - wide), self.top * (height - high)
        return left, top, left + wide, top + high


def decode(path: str, recipe: PixelRecipe, crop: Crop | None = None) -> np.ndarray | str:
    """Pixels uint8 (C, size, size) by the recipe, or why there are none.

    `crop` says which part is scaled to the whole, by default the centre.
    """
    try:
        return recipe.read(path, crop)
    except DataError as error:
        return str(error)
