"""Image files as squares of bytes, and the parts of them that training sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from orchestrator import PixelRecipe
from orchestrator.errors import DataError

__all__ = ["Crop", "decode", "why_no_image"]

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


def why_no_image(path: str) -> str:
    """Why a file does not begin as an image does, "" if it does; what follows is not looked at."""
    try:
        with Image.open(path):
            return ""
    except MemoryError:
        raise
    except Image.DecompressionBombError:  # decoding will tell whether a fraction can be had
        return ""
    except FileNotFoundError:
        return "a link to nowhere"
    except Exception:  # decoders raise whatever damaged bytes lead them to
        return "no image, or of a format that is not read"


def decode(path: str, recipe: PixelRecipe, crop: Crop | None = None) -> np.ndarray | str:
    """Pixels uint8 (C, size, size) by the recipe, or why there are none.

    `crop` says which part is scaled to the whole, by default the centre.
    """
    try:
        return recipe.read(path, crop)
    except DataError as error:
        return str(error)
