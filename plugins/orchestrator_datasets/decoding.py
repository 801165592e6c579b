"""One image file as a square of bytes, whatever the file's colour mode and orientation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

__all__ = ["Crop", "decode", "is_image"]

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


def is_image(path: str) -> bool:
    """Whether a file begins as an image does; what follows is not looked at."""
    try:
        with Image.open(path):
            return True
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever damaged bytes lead them to
        return False


def decode(
    path: str, image_size: int, channels: int, crop: Crop | None = None
) -> np.ndarray | None:
    """Pixels uint8 (C, image_size, image_size); None where there is no readable image.

    Turned upright by its EXIF orientation, transparency on white. `crop` says which part is scaled
    to `image_size`, by default the centre, as large as the shorter side. `channels` is 3 for RGB
    or 1 for grey.
    """
    try:
        with Image.open(path) as image:
            # JPEG only: decode at a fraction of the size, no smaller than needed.
            image.draft("RGB", _needed(image.size, image_size, crop))
            upright = ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever damaged bytes lead them to
        return None
    square = _square(_coloured(upright, channels), image_size, crop)
    pixels = np.asarray(square)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _coloured(image: Image.Image, channels: int) -> Image.Image:
    """RGB or one grey channel."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would cut 16 bits off at 255 instead of scaling them.
        levels = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        image = Image.fromarray((levels >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    wanted = "RGB" if channels == 3 else "L"
    return image if image.mode == wanted else image.convert(wanted)


def _needed(found: tuple[int, int], size: int, crop: Crop | None) -> tuple[int, int]:
    """How large an image must be decoded at least: the whole twice as large, a part as large."""
    if crop is None:
        return 2 * size, 2 * size
    left, top, right, bottom = crop.box(*found)
    scale = size / min(right - left, bottom - top)
    return math.ceil(scale * found[0]), math.ceil(scale * found[1])


def _square(image: Image.Image, size: int, crop: Crop | None) -> Image.Image:
    """The centre of `image`, as large as its shorter side, or `crop`, scaled to (size, size)."""
    width, height = image.size
    if crop is None and image.size == (size, size):
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side) if crop is None else crop.box(width, height)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
